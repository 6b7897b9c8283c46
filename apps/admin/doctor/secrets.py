"""Masks passwords in the output, also where a library's or a server's message repeats one."""

import os
import re
from dataclasses import replace
from urllib.parse import unquote

from django.conf import settings

from apps.admin.doctor.findings import Finding

HIDDEN = "***"
SHORTEST = 4
"""Shorter passwords are not masked: they occur inside ordinary words, which would become unreadable."""
_SECRET_NAME = re.compile(r"KEY|SECRET|PASSWORD|TOKEN")
_NO_SECRETS = frozenset({"RATE_LIMIT_KEY", "RATE_LIMIT_KEY_MOST", "QUOTA_KEYS", "KEY_LIFETIME_DAYS"})
_IN_URL = re.compile(r"(?P<before>://(?P<user>[^\s/:@]*):)(?P<password>[^\s/@]+)(?=@)")


def is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None and name not in _NO_SECRETS


def without_passwords(value: str) -> str:
    """`value` with the password of each URL in it masked."""
    return _IN_URL.sub(rf"\g<before>{HIDDEN}", value)


def masked(finding: Finding) -> Finding:
    """The finding with secrets masked in its sentence; a remedy is fixed text of ours and needs no masking."""
    sentence = finding.sentence
    for secret in _secrets():
        sentence = sentence.replace(secret, HIDDEN)
    return replace(finding, sentence=sentence)


def _secrets() -> list[str]:
    found: set[str] = set()
    for name in settings.ENVIRONMENT_VARIABLES:
        for value in {os.environ.get(name, ""), str(getattr(settings, name, ""))}:
            if is_secret(name):
                found |= {value, *value.split(",")}
            for url in _IN_URL.finditer(value):
                # `guest:guest`: the same word is shown as the user name anyway.
                if url["password"] != url["user"]:
                    found |= {url["password"], unquote(url["password"])}
    # Longest first: one may contain another.
    return sorted((secret for secret in found if len(secret) >= SHORTEST), key=len, reverse=True)
