"""What a check found: a sentence, how bad it is, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, and somebody should know."""
    WRONG = "wrong"
    SKIPPED = "skipped"
    """It could not be looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    sentence: str
    remedy: str = ""


def ok(sentence: str) -> Finding:
    return Finding(Level.OK, sentence)


def warning(sentence: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, sentence, remedy)


def wrong(sentence: str, remedy: str) -> Finding:
    return Finding(Level.WRONG, sentence, remedy)


def skipped(sentence: str) -> Finding:
    return Finding(Level.SKIPPED, sentence)


def sandboxed(what: str) -> Finding:
    return warning(
        f"The setting names the sandbox: {what} reach nobody, and are called sent.",
        "Name a real provider where people should get them.",
    )


def message_of(error: BaseException) -> str:
    """What a fault says of itself, in one line without a full stop."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
