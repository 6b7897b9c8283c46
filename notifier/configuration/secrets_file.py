"""The local default's secrets, generated once and stored in a file that only its owner can read."""

import json
import secrets
from pathlib import Path


def local_secret(path: Path, name: str) -> str:
    """The secret called `name` in the JSON file at `path`, generated at the first call."""
    stored: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if name not in stored:
        stored[name] = secrets.token_hex(32)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(stored))
    return stored[name]
