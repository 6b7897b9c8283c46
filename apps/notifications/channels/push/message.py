"""A rendered push."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

SANDBOX_PREFIX = "sandbox"


@dataclass(frozen=True, slots=True)
class PushMessage:
    """A rendered push to one device. `collapse_key`: on the device it replaces a message with the same key; FCM keeps
    four such messages a device, so it is empty unless the request sets it. `expires_at`: from then on it is not
    delivered; None: the provider's own limit."""

    delivery_id: str
    token: str
    title: str
    body: str
    image: str = ""
    link: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1
    collapse_key: str = ""
    expires_at: datetime | None = None

    @property
    def reference(self) -> str:
        return self.delivery_id

    @property
    def scenario(self) -> str:
        """Of the token `sandbox-bounced`: bounced. What follows another `-` is ignored."""
        prefix, _, rest = self.token.partition("-")
        return rest.partition("-")[0] if prefix == SANDBOX_PREFIX else ""
