"""JSON log lines on standard error, with the correlation id, and with addresses and tokens masked."""

import re
import string
from collections.abc import MutableMapping
from typing import Any

import structlog

_AT = re.compile(r"(?:@|%40)(?=[A-Za-z0-9.\[-])")
_LOCAL = string.ascii_letters + string.digits + ".!#$'*+^_`{|}~%-"
"""Characters of the local part of an address, beside letters beyond ASCII."""
LONGEST_QUOTED = 64
"""The most characters of a quoted local part."""
CALLERS_OWN, CALLERS_LIMIT = ("request", "user_agent"), 2_000
"""Values of a log line that a client without a key controls and could make as long as a header; they are cut at
CALLERS_LIMIT characters."""
# A device token or a key: a long unbroken run with a digit in it. UUIDs (36 characters) stay: they are ids.
SHORTEST_TOKEN = 60
_TOKEN = re.compile(r"(?<![\w:-])(?=[\w:-]*\d)[\w:-]{60,}(?![\w:-])|nk_(?:live|test)_\w+\.[\w-]+")


def mask(text: str) -> str:
    """`text` with email addresses cut to their first letter and long tokens to their first four characters."""
    # Most values contain neither; these tests are cheaper than the patterns.
    if "@" in text or "%40" in text:
        text = _mask_addresses(text)
    if len(text) >= SHORTEST_TOKEN or "nk_" in text:
        text = _TOKEN.sub(lambda found: found[0][:4] + "***", text)
    return text


def _mask_addresses(text: str) -> str:
    # Backwards from each @: a pattern that is tried at every letter takes quadratic time on input of a caller.
    pieces, position = [], 0
    for at in _AT.finditer(text):
        before = text[position : at.start()]
        around = _start_of_local(before)
        pieces += [before[: around + 1], "***" if around < len(before) else "", at[0]]
        position = at.end()
    return "".join([*pieces, text[position:]])


def _start_of_local(before: str) -> int:
    """The index, in the text before an @, at which the local part of its address begins."""
    start = len(before)
    if before.endswith('"'):
        opening = start - 1
        while (opening := before.rfind('"', max(0, start - LONGEST_QUOTED), opening)) > 0:
            if before[opening - 1] != "\\":
                break
        return start if opening < 0 else opening
    while start and (before[start - 1] in _LOCAL or before[start - 1] > "\x7f"):
        start -= 1
    return start


def mask_event(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor that masks every string of a log event, a traceback's included."""
    for key, value in event.items():
        event[key] = _masked(value)
    for name in CALLERS_OWN:
        # Only after masking: half a token would not be recognised.
        if len(text := str(event.get(name, ""))) > CALLERS_LIMIT:
            event[name] = f"{text[:CALLERS_LIMIT]}…"
    return event


def _masked(value: Any) -> Any:
    match value:
        case str():
            return mask(value)
        case dict():
            return {key: _masked(item) for key, item in value.items()}
        case list() | tuple():
            return [_masked(item) for item in value]
        case int() | float() | bool() | None:
            return value
        case _:
            return mask(str(value))


def logging_config(*, console: bool, level: str = "INFO") -> dict[str, Any]:
    """A `dictConfig` under which standard-library and structlog lines come out alike."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=False) if console else structlog.processors.JSONRenderer()
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "lines": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    mask_event,
                    renderer,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # One line for each request is enough; Django's own would be a duplicate.
            "django.request": {"level": "ERROR"},
            "django.server": {"level": "ERROR"},
            # A client that disconnects early is not our error.
            "django.core.servers.basehttp": {"level": "ERROR"},
            "mail.log": {"level": "WARNING"},
            # It logs every detector for every mail.
            "flufl.bounce": {"level": "WARNING"},
            # The delivery's own line has more detail.
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            # On a console the requests of the page's polling would hide everything else.
            **({"django_structlog": {"level": "WARNING"}} if console else {}),
        },
    }
