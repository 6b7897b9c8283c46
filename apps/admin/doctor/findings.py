"""A check's finding: its level, a sentence, and the remedy."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, but an operator should know."""
    WRONG = "wrong"
    SKIPPED = "skipped"
    """It could not be checked."""


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
        f"The setting names the sandbox: {what} are marked as sent and reach no recipient.",
        "Name a real provider if people should receive them.",
    )


def message_of(error: BaseException) -> str:
    """The error's message in one line without a full stop; its type's name where it has none."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
