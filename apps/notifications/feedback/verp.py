"""The address that a message's bounces go to: it names the delivery, and nobody else can make one."""

import hmac
import re
import uuid

from django.conf import settings

from apps.users.recipient_hashes import keyed_hash

TOKEN_LENGTH = 44
"""The delivery's id and what proves it, in hex digits."""


class Forged(Exception):
    """The address has a token that was not made here, or was made with another HASH_KEY."""


def return_path(delivery_id: uuid.UUID) -> str:
    """Where this delivery's bounces go; empty without BOUNCE_ADDRESS: to the sender."""
    if not settings.BOUNCE_ADDRESS:
        return ""
    local, _, domain = settings.BOUNCE_ADDRESS.rpartition("@")
    return f"{local}+{delivery_id.hex}{_proof(delivery_id)}@{domain}"


def delivery_in(text: str) -> uuid.UUID | None:
    """The delivery that a return path somewhere in `text` names; None where there is no return path of ours.

    Raises Forged.
    """
    if not settings.BOUNCE_ADDRESS:
        return None
    local, _, domain = settings.BOUNCE_ADDRESS.rpartition("@")
    found = re.search(
        rf"(?<![^\s<:;,]){re.escape(local)}\+([^@\s]{{1,64}})@{re.escape(domain)}", text, re.IGNORECASE
    )
    if found is None:
        return None
    token = found[1].lower()
    if re.fullmatch(f"[0-9a-f]{{{TOKEN_LENGTH}}}", token):
        delivery_id = uuid.UUID(token[:32])
        if hmac.compare_digest(token[32:], _proof(delivery_id)):
            return delivery_id
    raise Forged


def _proof(delivery_id: uuid.UUID) -> str:
    return keyed_hash(b"return-path\0" + delivery_id.bytes)[: TOKEN_LENGTH - 32]
