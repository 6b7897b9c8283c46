"""Demo data: a person with a device, a template in two languages, an API key, an administrator."""

import json
import secrets
import shlex
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.templates.authoring.versions import add_version
from apps.templates.models import Template
from apps.users.models import ApiKey, Organization, User
from apps.users.models.scopes import Role, Scope
from notifier.channels.registry import CODES

EMAIL = "ada@example.com"
ADMIN = "admin@example.com"
CODE = "welcome"
STAND_INS: Mapping[str, Any] = {code: import_module(f"notifier.local.stand_ins.{code}") for code in CODES}
"""By channel: the module of its stand-in."""


def _file() -> Path:
    return Path(settings.VAR_DIR) / "demo.json"


def seed() -> dict[str, str]:
    """Create what is missing. Returns `key`, `user_id`, and the administrator's address (`admin`) and `password`."""
    organization = Organization.objects.default()
    if _file().exists() and User.objects.filter(email=EMAIL).exists():
        stored: dict[str, str] = json.loads(_file().read_text())
        return stored
    User.objects.filter(email__in=(EMAIL, ADMIN)).delete()
    ada = User.objects.create_user(EMAIL, organization=organization, name="Ada Lovelace")
    for stand_in in STAND_INS.values():
        if reach := getattr(stand_in, "reach", None):
            reach(ada)
    password = secrets.token_urlsafe(12)
    User.objects.create_superuser(ADMIN, password, organization=organization, role=Role.ADMIN)
    template, made = Template.objects.get_or_create(
        organization=organization, code=CODE, archived_at=None, defaults={"name": "Welcome"}
    )
    if made:
        contents = [content for stand_in in STAND_INS.values() for content in stand_in.CONTENTS]
        add_version(template=template, contents=contents, note="The demo's first version", active=True)
    _, key = ApiKey.objects.issue(organization=organization, name="Demo", scopes=list(Scope.values))
    made_now = {"key": key, "user_id": str(ada.pk), "admin": ADMIN, "password": password}
    # Elsewhere a key is shown once; the demo's is stored, so that it survives a restart.
    _store(made_now)
    return made_now


def served_at(url: str) -> None:
    """Store the URL of this start in the demo file, for the commands of the README."""
    _store({**seed(), "url": url})


def _store(values: dict[str, str]) -> None:
    _file().parent.mkdir(parents=True, exist_ok=True)
    _file().touch(mode=0o600)
    _file().write_text(json.dumps(values))


def curl(host: str) -> str:
    """The command that sends the demo notification, ready to be pasted."""
    seeded = seed()
    body = json.dumps(
        {"user_id": seeded["user_id"], "template_code": CODE, "variables": {"name": "Ada"}},
        separators=(",", ":"),
    )
    return " ".join(
        [
            "curl -sS",
            shlex.quote(f"http://{host}/api/v1/notifications/"),
            "-H",
            shlex.quote(f"Authorization: Api-Key {seeded['key']}"),
            "-H 'Content-Type: application/json'",
            "-d",
            shlex.quote(body),
        ]
    )
