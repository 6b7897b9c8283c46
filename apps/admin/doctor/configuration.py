"""The settings: each one's value, and combinations that cause problems."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host

from apps.admin.doctor.findings import Finding, ok, warning, wrong
from apps.admin.doctor.secrets import is_secret, without_passwords
from apps.notifications.routing.accounts import names_of_several, setting_of
from notifier.channels.email import EMAIL
from notifier.lib.email_addresses import sender

KEYS = ("SECRET_KEY", "JWT_SIGNING_KEY", "HASH_KEY")
ALL_KEYS = (*KEYS, "ENCRYPTION_KEYS")

OWN_CONNECTIONS = 2
"""Database connections of a worker beyond its threads': lease renewal and publishing."""
LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}


def settings_as_read() -> list[Finding]:
    return [*_values(), *_problems()]


def _values() -> Iterator[Finding]:
    for name in settings.ENVIRONMENT_VARIABLES:
        value = os.environ.get(name, "")
        if is_secret(name) and (secret := value or str(getattr(settings, name, ""))):
            yield ok(f"{name} is set, {len(secret)} characters long.")
        elif value:
            yield ok(f"{name} is {without_passwords(value)}.")
        else:
            yield ok(f"{name} is not set: the default applies.")


def _problems() -> Iterator[Finding]:
    secrets = [str(getattr(settings, name)) for name in KEYS] + settings.ENCRYPTION_KEYS
    if len(set(secrets)) < len(secrets):
        yield wrong(f"Two of {', '.join(ALL_KEYS)} are the same.", "Give each its own value.")
    threads, pool = settings.WORKER_THREADS, settings.DATABASE_POOL_SIZE
    if settings.ON_POSTGRES and pool < threads + OWN_CONNECTIONS:
        yield warning(
            f"DATABASE_POOL_SIZE is {pool}, and a worker's {threads} threads may need "
            f"{threads + OWN_CONNECTIONS} connections at once.",
            f"Set DATABASE_POOL_SIZE to {threads + OWN_CONNECTIONS} or more.",
        )
    for name in names_of_several():
        yield wrong(
            f"Accounts of several channels are called {name}: they share a circuit and a pace, and one's events are "
            "taken for the other's.",
            "Give each URL a name= of its own.",
        )
    if not settings.LOCAL:
        yield from _exposed()


def _reached() -> Iterator[Finding]:
    host = urlsplit(settings.PUBLIC_URL).hostname or ""
    if not host:
        yield warning(
            "PUBLIC_URL is not set: emails lack the unsubscribe header that large mailbox providers require of "
            "newsletters.",
            "Set it to the URL at which people reach this service.",
        )
    elif not validate_host(host, settings.ALLOWED_HOSTS):
        yield wrong(
            f"PUBLIC_URL's host {host} is not among ALLOWED_HOSTS: every unsubscribe link is refused.",
            "Add it to ALLOWED_HOSTS.",
        )


def _exposed() -> Iterator[Finding]:
    if settings.DEBUG:
        yield warning(
            "DEBUG is on: error pages show source code and settings to the client.",
            "Unset DEBUG where others can reach the API.",
        )
    if "*" in settings.ALLOWED_HOSTS:
        yield warning("ALLOWED_HOSTS accepts any host name.", "Set it to the API's host name.")
    elif set(settings.ALLOWED_HOSTS) <= LOOPBACK:
        yield warning(
            "ALLOWED_HOSTS has only loopback names: requests for any other host are refused.",
            "Set it to the API's host name.",
        )
    if not settings.SESSION_COOKIE_SECURE:
        yield warning(
            "SECURE_COOKIES is false: an operator's session cookie can be read in transit without TLS.",
            "Unset SECURE_COOKIES once the admin is served over https.",
        )
    yield from _reached()
    if getattr(settings, setting_of(EMAIL.code)) and sender(settings.EMAIL_FROM).domain == "localhost":
        yield warning(
            f"EMAIL_FROM is {settings.EMAIL_FROM}, which other mail servers refuse.",
            "Set it to an address in your own domain.",
        )
