"""A stand-in for FCM that catches every push."""

import secrets
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.users.models import Device, Platform, User
from notifier.local.fcm import FcmStandIn
from notifier.local.inbox import Inbox

CONTENTS: list[dict[str, Any]] = [
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
"""The demo's."""


def start(inbox: Inbox) -> str:
    """Returns the provider's URL."""
    stand_in = FcmStandIn(on_message=lambda message: inbox.add(item(message)))
    stand_in.start()
    account = Path(settings.VAR_DIR) / "local-fcm-account.json"
    stand_in.write_service_account(account)
    return f"fcm://{stand_in.project_id}/?credentials={account}&base_url={stand_in.base_url}"


def reach(person: User) -> None:
    """Give the demo's person an address of this channel."""
    token = f"demo-{secrets.token_hex(40)}"
    Device.objects.create(user=person, token=token, platform=Platform.ANDROID, name="Ada's phone")


def item(message: dict[str, Any]) -> dict[str, Any]:
    """A message in the form of FCM's v1 API as the inbox lists it."""
    shown = message.get("notification", {})
    data = message.get("data", {})
    return {
        "kind": "push",
        "on_phone": True,
        "to": f"{message.get('token', '')[:12]}…",
        "subject": shown.get("title", ""),
        "text": shown.get("body", ""),
        "image": shown.get("image", ""),
        "data": data,
        "notification_id": data.get("notification_id", ""),
    }
