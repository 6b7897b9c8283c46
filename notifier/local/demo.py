"""Demo data: a person with a device, a template in two languages, an API key, an administrator."""

import json
import secrets
import shlex
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.templates.authoring.versions import add_version
from apps.templates.models import Template
from apps.users.models import ApiKey, Device, Organization, Platform, User
from apps.users.models.scopes import Role, Scope

EMAIL = "ada@example.com"
ADMIN = "admin@example.com"
CODE = "welcome"

CONTENTS: list[dict[str, Any]] = [
    {
        "channel": "email",
        "language": "en",
        "subject": "Welcome aboard, {{ name }}",
        "html": (
            '<div style="font-family:sans-serif;max-width:480px;margin:auto;padding:24px">'
            '<h1 style="color:#1f4fd8">Welcome, {{ name }}</h1>'
            "<p>Your account is ready. It took one API call to tell you so.</p>"
            '<p><a href="https://example.com/start" style="background:#1f4fd8;color:#fff;padding:10px 18px;'
            'border-radius:6px;text-decoration:none">Get started</a></p></div>'
        ),
        "text": "Welcome, {{ name }}.\n\nYour account is ready: https://example.com/start\n",
    },
    {
        "channel": "email",
        "language": "fr",
        "subject": "Bienvenue à bord, {{ name }}",
        "html": "<h1>Bienvenue, {{ name }}</h1><p>Votre compte est prêt.</p>",
        "text": "Bienvenue, {{ name }}.\n\nVotre compte est prêt : https://example.com/start\n",
    },
    {
        "channel": "push",
        "language": "en",
        "title": "Welcome, {{ name }}",
        "body": "Your account is ready.",
        "link": "https://example.com/start",
        "data": {"screen": "start"},
    },
    {
        "channel": "push",
        "language": "fr",
        "title": "Bienvenue, {{ name }}",
        "body": "Votre compte est prêt.",
        "link": "https://example.com/start",
        "data": {"screen": "start"},
    },
]


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
    Device.objects.create(
        user=ada, token=f"demo-{secrets.token_hex(40)}", platform=Platform.ANDROID, name="Ada's phone"
    )
    password = secrets.token_urlsafe(12)
    User.objects.create_superuser(ADMIN, password, organization=organization, role=Role.ADMIN)
    template, made = Template.objects.get_or_create(
        organization=organization, code=CODE, archived_at=None, defaults={"name": "Welcome"}
    )
    if made:
        add_version(template=template, contents=CONTENTS, note="The demo's first version", active=True)
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
