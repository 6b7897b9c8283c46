"""Keeping passwords out of what is printed, wherever a library or a server repeats one."""

import os
import re
from dataclasses import replace
from urllib.parse import unquote

from django.conf import settings

from apps.admin.doctor.findings import Finding

HIDDEN = "***"
SHORTEST = 4
"""A shorter password is not looked for inside other words: that would only garble them."""
_SECRET_NAME = re.compile(r"KEY|SECRET|PASSWORD|TOKEN")
_NO_SECRETS = frozenset({"RATE_LIMIT_KEY", "RATE_LIMIT_KEY_MOST", "QUOTA_KEYS", "KEY_LIFETIME_DAYS"})
_IN_URL = re.compile(r"(?P<before>://(?P<user>[^\s/:@]*):)(?P<password>[^\s/@]+)(?=@)")


def is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None and name not in _NO_SECRETS


def without_passwords(value: str) -> str:
    """`value` with the password of each URL in it hidden."""
    return _IN_URL.sub(rf"\g<before>{HIDDEN}", value)


def masked(finding: Finding) -> Finding:
    """Its sentence alone: a remedy holds no words but our own."""
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
                # `guest:guest`: the word is shown as the user's name all the same.
                if url["password"] != url["user"]:
                    found |= {url["password"], unquote(url["password"])}
    # The longest first: one may be a part of another.
    return sorted((secret for secret in found if len(secret) >= SHORTEST), key=len, reverse=True)
