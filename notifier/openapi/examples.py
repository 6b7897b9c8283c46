"""A working example for every request body of the API, shown in the OpenAPI document.

Sent in this order on the demo's data (`make run`), each succeeds. Only those with a token, a password or the id of a
delivery have to be filled in.
"""

from typing import Any

from notifier.channels.registry import CHANNELS

_LOGIN = {"email": "lin@example.com", "password": "correct horse battery"}
_CONTENTS = [{"channel": code, "language": "en", **channel.example} for code, channel in CHANNELS.items()]
_EMAIL = _CONTENTS[0]
_VARIABLES = {"name": "Ada", "order": {"number": "A-1001"}}
_NOTIFICATION = {
    "recipient": {"email": "ada@example.com", "language": "en"},
    "template_code": "order-shipped",
    "variables": _VARIABLES,
}
_TOKEN = CHANNELS["push"].address.example

EXAMPLES: dict[str, Any] = {
    "POST auth/register/": {**_LOGIN, "name": "Lin", "language": "en-GB", "timezone": "Europe/London"},
    "POST auth/login/": _LOGIN,
    "POST users/login/": _LOGIN,
    "POST auth/refresh/": {"refresh": "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl"},
    "POST auth/logout/": {"refresh": "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl"},
    "POST auth/password/": {
        "old_password": "correct horse battery", "new_password": "staple battery horse",
    },
    "POST auth/password-reset/": {"email": "ada@example.com"},
    "POST auth/password-reset/confirm/": {
        "code": "AaIUuVsD:d2x4ab-0c9f6f3b1d8e7a5c4b3a29181706f5e4", "new_password": "staple battery horse",
    },
    "POST admin/login/": _LOGIN,
    "POST admin/api-keys/": {"name": "Shop", "scopes": ["notifications:write", "notifications:read"]},
    "PATCH admin/api-keys/{api_key}/": {"rate_limit": 600},
    "POST admin/api-keys/{api_key}/rotate/": {"overlap": 3600},
    "POST categories/": {"code": "newsletter", "name": "Newsletter", "cap": 3, "cap_window": 86400},
    "PATCH categories/{category}/": {"name": "Our newsletter"},
    "POST users/": {
        "email": "grace@example.com", "name": "Grace", "language": "en-GB", "timezone": "Europe/London",
    },
    "PATCH users/{id}/": {"timezone": "Europe/Paris", "quiet_from": "22:00", "quiet_until": "07:00"},
    "PATCH users/{id}/preferences/": {"email": False, "categories": {"newsletter": {"push": False}}},
    "POST users/{id}/devices/": {
        "token": _TOKEN, "platform": "android", "name": "Ada's phone",
    },
    "PATCH users/{id}/devices/{device}/": {"name": "Ada's old phone"},
    "POST templates/": {"code": "order-shipped", "name": "Order shipped", "contents": _CONTENTS},
    "PATCH templates/{code}/": {"on_unknown": "resend"},
    "POST templates/{code}/versions/": {"contents": [_EMAIL], "note": "Email alone", "activate": True},
    "POST templates/{code}/activate/": {"version": 1},
    "PUT templates/{code}/draft/": {
        "contents": [_EMAIL],
        "variables": [{"name": "name", "type": "string", "default": "friend", "example": "Ada"}],
    },
    "POST templates/{code}/draft/publish/": {"activate": False},
    "POST templates/layouts/": {
        "name": "brand",
        "html": "<html><head><style>.head { background: {{ layout.colour }} }</style></head>"
        '<body><div class="head">Acme</div>{{ content }}</body></html>',
        "text": "{{ content }}\n\nAcme Ltd",
        "values": {"colour": "#0a7d43"},
    },
    "PATCH templates/layouts/{name}/": {"values": {"colour": "#7d430a"}},
    "POST templates/partials/": {"name": "brand", "html": "<b>Acme</b>", "text": "ACME"},
    "PATCH templates/partials/{name}/": {"text": "Acme"},
    "POST templates/substitute/": {"template_code": "order-shipped", "variables": _VARIABLES},
    "POST templates/{code}/preview/": {"language": "en", "variables": _VARIABLES},
    "POST notifications/": {**_NOTIFICATION, "request_id": "order-A-1001-shipped"},
    "POST notify/": {**_NOTIFICATION, "request_id": "order-A-1002-shipped"},
    **{
        f"POST notifications/{code}/": {
            **_NOTIFICATION,
            "recipient": {channel.address.request_field: channel.address.example},
            "request_id": f"order-A-1003-{code}",
        }
        for code, channel in CHANNELS.items()
    },
    "POST notifications/batch/": {
        "notifications": [
            {**_NOTIFICATION, "request_id": "order-A-1004-shipped"},
            {**_NOTIFICATION, "request_id": "order-A-1005-shipped", "channels": ["email"]},
        ]
    },
    "POST suppressions/": {"channel": "email", "recipient": "ada@example.com", "detail": "Asked by phone."},
    "POST suppressions/{suppression}/lift/": {"reason": "The mailbox is back."},
    "POST dead-letters/replay/": {"reason": "retries_exhausted", "limit": 100, "dry_run": True},
    "PUT webhook-endpoints/": {"url": "https://example.com/hooks/notifier"},
    "POST webhook-endpoints/rotate/": {"overlap": 3600},
    "POST webhook-endpoints/replay/": {
        "since": "2026-11-20T00:00:00Z", "until": "2026-11-21T00:00:00Z", "status": "failed", "dry_run": True,
    },
    **{
        f"POST {code}/status/": {
            "delivery_id": "01a1fda2-03ac-727d-b263-43381d63f3c8", "status": "delivered",
        }
        for code in CHANNELS
    },
}  # fmt: skip
"""By method and path under /api/v1/."""
