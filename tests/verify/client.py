"""Calls every operation of a running demo with a client that openapi-python-client generated from docs/openapi.yml.

Not for pytest: it runs in the client's own environment. Arguments: the document, the client's folder, the demo's
`demo.json`.
"""

import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

DESTRUCTIVE = ("delete_", "revoke_", "archive_", "discard_", "lift_", "cancel_")
FIRST = (
    "register",
    "create_template",
    "create_category",
    "create_layout",
    "create_partial",
    "register_device",
)
# What carries a secret or an id that no document can know, and is refused as the document says.
REFUSED = {
    "refresh_session": {401}, "logout": {401}, "login_as_operator": {401}, "confirm_password_reset": {400},
    "take_email_receipt": {404}, "take_push_receipt": {404}, "take_sms_receipt": {404},
    "change_password": {403},
    "take_provider_events": {404}, "look_at_provider_events": {404},
}  # fmt: skip
# A demo's key is no person, and what was published is no draft any more.
PERSONS = {"get_me": {403}, "discard_draft": {404}}
MADE = {
    "create_api_key": "api_key", "suppress": "suppression", "register_device": "device", "send_notification": "key",
}  # fmt: skip


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The operations in an order in which each finds the rows that it needs."""
    found = [
        {**operation, "method": method, "path": path}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]

    def position(operation: dict[str, Any]) -> tuple[int, int]:
        name = operation["operationId"]
        if name in FIRST:
            return 0, FIRST.index(name)
        if name.startswith(DESTRUCTIVE):
            # What belongs to something goes before that.
            return 4, -len(operation["path"])
        if operation["method"] == "get":
            return 2, 0
        # What is published ends the draft.
        return (3 if name == "publish_draft" else 1), 0

    return sorted(found, key=position)


def main(document: str, folder: str, demo: str) -> None:
    described = YAML(typ="safe").load(Path(document))
    seeded = json.loads(Path(demo).read_text())
    package = Path(folder).name
    sys.path.insert(0, str(Path(folder).parent))
    client = importlib.import_module(package).AuthenticatedClient(
        base_url=seeded["url"], token=seeded["key"], prefix="Api-Key", raise_on_unexpected_status=True
    )
    error = importlib.import_module(f"{package}.models").Error
    parts: dict[str, Any] = {
        "id": seeded["user_id"], "category": "newsletter", "code": "order-shipped", "name": "brand", "number": 1,
        "provider": "smtp", "address": "ada@example.com", "letter": "00000000-0000-7000-8000-000000000000",
    }  # fmt: skip
    read = 0
    for operation in operations(described):
        name, tag = operation["operationId"], operation["tags"][0]
        module = importlib.import_module(f"{package}.api.{tag.replace('-', '_')}.{name}")
        arguments = {}
        for parameter, declared in inspect.signature(module.sync_detailed).parameters.items():
            plain = parameter.removesuffix("_")
            if parameter == "body":
                (example,) = operation["requestBody"]["content"]["application/json"]["examples"].values()
                arguments["body"] = body_of(declared.annotation, example["value"])
            elif plain in parts and declared.default is inspect.Parameter.empty:
                arguments[parameter] = parts[plain]
        answer = module.sync_detailed(client=client, **arguments)
        status = int(answer.status_code)
        refused = REFUSED.get(name) or PERSONS.get(name) or ({404} if "letter" in arguments else set())
        if name == "cancel_notification" and status == 409:
            # The demo's worker was quicker.
            refused = {409}
        if refused:
            assert status in refused, (name, answer)
            assert isinstance(answer.parsed, error), (name, answer)
        else:
            assert status < 300, (name, status, answer.content)
            assert status == 204 or (answer.parsed is not None and not isinstance(answer.parsed, error)), name
            if status != 204:
                # Everything that came is in what was read.
                assert answer.parsed.to_dict()["data"] is not None, name
                compare(name, json.loads(answer.content), answer.parsed.to_dict())
                read += 1
        if name in MADE:
            parts[MADE[name]] = answer.parsed.data.id
    print(f"{len(operations(described))} operations called, {read} answers read.")  # noqa: T201


def body_of(annotation: Any, example: Any) -> Any:
    kinds = [kind for kind in getattr(annotation, "__args__", (annotation,)) if hasattr(kind, "from_dict")]
    return kinds[0].from_dict(example)


def compare(name: str, came: Any, parsed: Any) -> None:
    """Check that the client's parsed value equals the response, apart from the formats of times and numbers."""
    if isinstance(came, dict):
        assert came.keys() == parsed.keys(), (name, came.keys() ^ parsed.keys())
        for key, value in came.items():
            compare(f"{name}.{key}", value, parsed[key])
    elif isinstance(came, list):
        assert len(came) == len(parsed), name
        for one, other in zip(came, parsed, strict=True):
            compare(name, one, other)
    elif not (isinstance(came, str) and isinstance(parsed, str)):
        assert came == parsed, (name, came, parsed)


if __name__ == "__main__":
    main(*sys.argv[1:])
