"""The providers of SMS: each is the folder of that name."""

from apps.notifications.channels.provider import kinds_in

KINDS = kinds_in(
    "apps.notifications.channels.sms.providers",
    "twilio",
    "webhook",
)
