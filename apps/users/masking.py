def masked_address(address: str) -> str:
    """Enough of an email address to recognise it; empty for an empty one."""
    name, at, domain = address.rpartition("@")
    return f"{name[:1]}***{at}{domain}" if at else ""


def masked_token(token: str) -> str:
    """Enough of a device token to recognise it; empty for an empty one."""
    return f"{token[:4]}***" if token else ""
