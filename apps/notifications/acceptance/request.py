"""A validated request for one notification, as the API and the password reset pass it to `submission`."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationRequest:
    """Either `user_id` or at least one of `recipients` is given: by channel, in the channels' order, the address."""

    template_code: str
    user_id: uuid.UUID | None = None
    recipients: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    language: str = ""
    request_id: str | None = None
    priority: int = 5
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    callback_url: str = ""
    correlation_id: str
