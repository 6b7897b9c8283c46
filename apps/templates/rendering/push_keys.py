"""Keys that a push's data can't have: FCM refuses the whole message for them, or the app never sees them."""

RESERVED = frozenset({"from", "message_type"})
RESERVED_PREFIXES = ("google.", "gcm.")
HIDDEN = frozenset({"collapse_key"})
"""FCM takes these, and its library on Android takes them out again."""


def error_of(key: str) -> str:
    """Why a push can't carry this key, in a sentence; empty where it can."""
    if key in RESERVED or key.startswith(RESERVED_PREFIXES):
        return f"Rename the key {key!r}: FCM keeps it for itself, and refuses a push that has it."
    if key in HIDDEN:
        return f"Rename the key {key!r}: an app on Android never sees it."
    return ""
