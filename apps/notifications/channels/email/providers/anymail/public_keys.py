"""The public keys with which services' signatures are verified, as they show them: the base64 of a PEM without its
first and last line."""

import base64
import binascii

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key


def is_elliptic(text: str) -> bool:
    return isinstance(_read(text), EllipticCurvePublicKey)


def is_rsa(text: str) -> bool:
    return isinstance(_read(text), RSAPublicKey)


def _read(text: str) -> object:
    try:
        return load_der_public_key(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return None
