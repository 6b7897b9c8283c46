"""VERP: the return path of a message, which names its delivery and carries a proof that only we can compute."""

import hmac
import re
import uuid

from django.conf import settings

from apps.users.recipient_hashes import keyed_hash

TOKEN_LENGTH = 44
"""Hex digits of the delivery's id and its proof."""


class Forged(Exception):
    """The address has a token that was not issued here, or was issued with another HASH_KEY."""


def return_path(delivery_id: uuid.UUID) -> str:
    """The return path of this delivery; empty without BOUNCE_ADDRESS: bounces go to the sender."""
    if not settings.BOUNCE_ADDRESS:
        return ""
    local, _, domain = settings.BOUNCE_ADDRESS.rpartition("@")
    return f"{local}+{delivery_id.hex}{_proof(delivery_id)}@{domain}"


def delivery_in(text: str) -> uuid.UUID | None:
    """The delivery that a return path anywhere in `text` names; None where there is no return path of ours.

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
