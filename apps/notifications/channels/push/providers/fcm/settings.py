"""One FCM account from a URL: the project, the credentials and the timeouts."""

import re
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, urlsplit

FCM = "https://fcm.googleapis.com"
_NUMBERS = ("connect_timeout", "read_timeout", "pool_size")


@dataclass(frozen=True, slots=True)
class FcmSettings:
    """`credentials`: path of a service account's JSON file. Timeouts are seconds. `pool_size`: connections
    kept open, at least one for each sender thread."""

    project_id: str
    credentials: str
    base_url: str = FCM
    connect_timeout: float = 2.0
    read_timeout: float = 15.0
    pool_size: int = 32

    @classmethod
    def from_url(cls, url: str) -> Self:
        """`fcm://PROJECT_ID/?credentials=/path.json`; `base_url` and the numbers may follow.

        Raises ValueError with a sentence that names what is wrong.
        """
        parts = _split(url)
        if parts is None or parts.scheme != "fcm":
            raise ValueError(
                "An FCM address begins with fcm://, as in fcm://PROJECT/?credentials=/path.json."
            )
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", parts.netloc):
            raise ValueError(f"The FCM address needs a project id after fcm://, not {parts.netloc!r}.")
        if parts.path not in ("", "/") or parts.fragment:
            raise ValueError("The FCM address holds nothing but the project id and ?options.")
        options: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := sorted(options.keys() - {"credentials", "base_url", *_NUMBERS}):
            raise ValueError(f"The FCM address has no option {unknown[0]!r}.")
        if not options.get("credentials"):
            raise ValueError("The FCM address needs credentials=, the path of a service account's JSON file.")
        for name in _NUMBERS:
            if name in options:
                if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", options[name]) or not float(options[name]):
                    raise ValueError(f"The FCM address's {name} must be a number over 0.")
                options[name] = float(options[name])
        if not float(options.get("pool_size", 1)).is_integer():
            raise ValueError("The FCM address's pool_size must be a whole number.")
        if "pool_size" in options:
            options["pool_size"] = int(options["pool_size"])
        base = _split(options.get("base_url", FCM))
        if (
            base is None
            or base.scheme not in ("http", "https")
            or not base.hostname
            or base.path not in ("", "/")
        ):
            raise ValueError("The FCM address's base_url must be like https://host or http://host:port.")
        return cls(project_id=parts.netloc, **options)


def _split(url: str) -> SplitResult | None:
    """The parsed URL; None where its host or port is invalid."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return parts if port != 0 else None
