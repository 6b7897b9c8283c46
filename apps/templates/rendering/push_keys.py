"""Keys that a push's data can't use: FCM refuses the whole message, or the app never receives the key."""

RESERVED = frozenset({"from", "message_type"})
RESERVED_PREFIXES = ("google.", "gcm.")
HIDDEN = frozenset({"collapse_key"})
"""FCM accepts these, but its Android library removes them."""


def error_of(key: str) -> str:
    """An error sentence if a push can't carry this key, else an empty string."""
    if key in RESERVED or key.startswith(RESERVED_PREFIXES):
        return f"Rename the key {key!r}: FCM reserves it and refuses a push that has it."
    if key in HIDDEN:
        return f"Rename the key {key!r}: apps on Android never receive it."
    return ""
