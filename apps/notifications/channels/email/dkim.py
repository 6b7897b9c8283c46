"""DKIM signatures (RFC 6376): relaxed canonicalization of headers and body, RSA or Ed25519 (RFC 8463)."""

import base64
import hashlib
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import idna
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SIGNED = (
    "from", "to", "subject", "date", "message-id", "mime-version", "content-type", "content-transfer-encoding",
    "reply-to", "list-unsubscribe", "list-unsubscribe-post", "list-id", "feedback-id", "auto-submitted",
)  # fmt: skip
"""Headers that are signed where present. From is signed once more than it occurs, so that none can be added."""
_LABELS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
_BLANKS = re.compile(rb"[ \t]+")
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_BLANKS_AT_ENDS = re.compile(rb"[ \t]+(?=\r\n)")
_EMPTY_LINES_AT_THE_END = re.compile(rb"(\r\n)+\Z")


@dataclass(frozen=True, slots=True)
class Signer:
    """`domain` and `selector` name the DNS record: <selector>._domainkey.<domain>. Raises ValueError."""

    domain: str
    selector: str
    key: RSAPrivateKey | Ed25519PrivateKey

    @classmethod
    def of(cls, domain: str, selector: str, path: str) -> "Signer":
        """`path`: the private key, PEM. An internationalized domain is signed in its ASCII form, as From has it.
        Raises ValueError with a sentence."""
        if not domain.isascii():
            with suppress(idna.IDNAError):
                domain = idna.encode(domain, uts46=True).decode()
        for name, value in (("domain", domain), ("selector", selector)):
            if not _LABELS.fullmatch(value):
                raise ValueError(f"the DKIM {name} must be a host name, not {value!r}")
        try:
            key = load_pem_private_key(Path(path).read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"the DKIM key {path} can't be used: {error}") from error
        if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
            raise ValueError(f"the DKIM key {path} is neither RSA nor Ed25519")
        return cls(domain.lower(), selector, key)

    def signed(self, message: bytes) -> bytes:
        """The message (CRLF lines, the last one ended too) with the signature's header in front."""
        head, _, body = message.partition(b"\r\n\r\n")
        fields = _FOLD.sub(b"", head).split(b"\r\n")
        named = [(field.partition(b":")[0].strip().lower().decode(), field) for field in fields]
        names = [name for name, _ in named if name in SIGNED]
        kind = "rsa" if isinstance(self.key, RSAPrivateKey) else "ed25519"
        body_hash = base64.b64encode(hashlib.sha256(_relaxed_body(body)).digest()).decode()
        signature = (
            f"DKIM-Signature: v=1; a={kind}-sha256; c=relaxed/relaxed; d={self.domain}; s={self.selector};\r\n"
            f" t={int(time.time())}; h={':'.join([*names, 'from'])};\r\n bh={body_hash};\r\n b="
        )
        hashed = b"\r\n".join(
            [
                *(_relaxed_field(field) for name, field in named if name in SIGNED),
                _relaxed_field(signature.encode()),
            ]
        )
        return f"{signature}{_folded(base64.b64encode(self._sign(hashed)).decode())}\r\n".encode() + message

    def _sign(self, hashed: bytes) -> bytes:
        if isinstance(self.key, Ed25519PrivateKey):
            return self.key.sign(hashlib.sha256(hashed).digest())
        return self.key.sign(hashed, PKCS1v15(), hashes.SHA256())


def _relaxed_field(field: bytes) -> bytes:
    name, _, value = _FOLD.sub(b"", field).partition(b":")
    return name.strip().lower() + b":" + _BLANKS.sub(b" ", value).strip(b" \t")


def _relaxed_body(body: bytes) -> bytes:
    body = _BLANKS.sub(b" ", _BLANKS_AT_ENDS.sub(b"", body))
    body = _EMPTY_LINES_AT_THE_END.sub(b"", body)
    return body + b"\r\n" if body else b""


def _folded(text: str) -> str:
    return "\r\n  ".join(text[start : start + 72] for start in range(0, len(text), 72))
