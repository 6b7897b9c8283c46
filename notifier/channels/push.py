"""Push, declared."""

from notifier.channels.declaration import Address, Channel, Kind, Part, RetryPolicy
from notifier.lib.masking import masked_token

HOUR = 3600
RESERVED = frozenset({"from", "message_type"})
RESERVED_PREFIXES = ("google.", "gcm.")
HIDDEN = frozenset({"collapse_key"})
"""FCM accepts these, but its Android library removes them."""


def key_error(key: str) -> str:
    """An error sentence for a key of the data that FCM refuses or the app never receives, else an empty string."""
    if key in RESERVED or key.startswith(RESERVED_PREFIXES):
        return f"Rename the key {key!r}: FCM reserves it and refuses a push that has it."
    if key in HIDDEN:
        return f"Rename the key {key!r}: apps on Android never receive it."
    return ""


PUSH = Channel(
    code="push",
    label="Push",
    names={
        "en": "On your devices",
        "fr": "Sur vos appareils",
        "de": "Auf Ihre Geräte",
        "es": "En sus dispositivos",
    },
    address=Address(
        request_field="device_token",
        noun="device token",
        limit=4096,
        example="fMk3ZQ:APA91bHx7YzExampleToken",
        spelled=str,
        masked=masked_token,
    ),
    parts=(
        Part(name="title", kind=Kind.LINE, label="Title", help_text="One line, in bold on the phone."),
        Part(name="body", kind=Kind.TEXT, label="Text", rows=3),
        Part(
            name="image",
            kind=Kind.IMAGE,
            label="Image",
            help_text="The image's address (https); may be empty.",
        ),
        Part(
            name="link", kind=Kind.LINK, label="Link", help_text="The address that a tap opens; may be empty."
        ),
        Part(
            name="data",
            kind=Kind.DATA,
            label="Data for the app",
            rows=3,
            help_text="For programmers: one “name: value” per line.",
            key_error=key_error,
        ),
    ),
    required=("title",),
    example={
        "title": "On its way",
        "body": "Order {{ order.number }} arrives soon.",
        "data": {"order": "{{ order.number }}"},
    },
    # A push is about the present: after hours it is of no use.
    retries=RetryPolicy(steps=(10, 30, 120, 600, 1800, HOUR), repeat_last=False, deadline=4 * HOUR),
)
