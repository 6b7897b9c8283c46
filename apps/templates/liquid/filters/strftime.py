"""strftime with Ruby's directives, which Liquid uses: more than the platform's own (`%L`, `%3N`, `%-d`), and
independent of the locale."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

DIRECTIVE = re.compile(r"%([-0^#_]*)(\d{0,3})([EO]?)(:{0,2}z|[A-Za-z+%])")
WIDEST = 200
"""Most characters that one directive is padded to."""


def formatted(moment: datetime, form: str) -> str:
    """`moment` in a Ruby format; an unknown directive is kept as written."""

    def directive(found: re.Match[str]) -> str:
        flags, width, _, name = found.groups()
        if name in COMPOSED:
            text, size, fill = formatted(moment, COMPOSED[name]), 0, " "
        elif name in NUMBERS:
            number, size, fill = NUMBERS[name]
            text = str(number(moment))
        elif name in FRACTIONS:
            digits = int(width or FRACTIONS[name]) or FRACTIONS[name]
            return f"{moment.microsecond:06}".ljust(min(digits, WIDEST), "0")[:digits]
        elif name in TEXTS:
            text, size, fill = TEXTS[name](moment), 0, " "
        else:
            return found[0]
        for flag in flags:
            if flag == "^" or (flag == "#" and name != "p"):
                text = text.upper()
            elif flag == "#":
                text = text.lower()
            else:
                fill = {"-": "", "0": "0", "_": " "}[flag]
        size = min(int(width or size), WIDEST)
        return text.rjust(size, fill) if fill else text

    return DIRECTIVE.sub(directive, form)


DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def _offset(moment: datetime, separators: int) -> str:
    """`+0230`, `+02:30` or `+02:30:00`."""
    seconds = int((moment.utcoffset() or timedelta()).total_seconds())
    hours, minutes = divmod(abs(seconds) // 60, 60)
    colon = ":" if separators else ""
    last = f":{abs(seconds) % 60:02}" if separators > 1 else ""
    return f"{'-' if seconds < 0 else '+'}{hours:02}{colon}{minutes:02}{last}"


def _week(moment: datetime, first: int) -> int:
    """The week of the year, counted from its first weekday `first` (0: Sunday)."""
    return (moment.timetuple().tm_yday + 6 - (moment.isoweekday() - first) % 7) // 7


NUMBERS: Mapping[str, tuple[Callable[[datetime], int], int, str]] = {
    "Y": (lambda at: at.year, 4, "0"),
    "C": (lambda at: at.year // 100, 2, "0"),
    "y": (lambda at: at.year % 100, 2, "0"),
    "m": (lambda at: at.month, 2, "0"),
    "d": (lambda at: at.day, 2, "0"),
    "e": (lambda at: at.day, 2, " "),
    "j": (lambda at: at.timetuple().tm_yday, 3, "0"),
    "H": (lambda at: at.hour, 2, "0"),
    "k": (lambda at: at.hour, 2, " "),
    "I": (lambda at: at.hour % 12 or 12, 2, "0"),
    "l": (lambda at: at.hour % 12 or 12, 2, " "),
    "M": (lambda at: at.minute, 2, "0"),
    "S": (lambda at: at.second, 2, "0"),
    "u": (lambda at: at.isoweekday(), 1, "0"),
    "w": (lambda at: at.isoweekday() % 7, 1, "0"),
    "G": (lambda at: at.isocalendar().year, 4, "0"),
    "g": (lambda at: at.isocalendar().year % 100, 2, "0"),
    "V": (lambda at: at.isocalendar().week, 2, "0"),
    "U": (lambda at: _week(at, 0), 2, "0"),
    "W": (lambda at: _week(at, 1), 2, "0"),
    "s": (lambda at: int(at.timestamp() // 1), 1, "0"),
}
FRACTIONS = {"L": 3, "N": 9}
"""Fractions of a second, and their digits where the directive gives no width."""
TEXTS: Mapping[str, Callable[[datetime], str]] = {
    "A": lambda at: DAYS[at.weekday()],
    "a": lambda at: DAYS[at.weekday()][:3],
    "B": lambda at: MONTHS[at.month - 1],
    "b": lambda at: MONTHS[at.month - 1][:3],
    "h": lambda at: MONTHS[at.month - 1][:3],
    "p": lambda at: "AM" if at.hour < 12 else "PM",
    "P": lambda at: "am" if at.hour < 12 else "pm",
    # An offset has no zone name.
    "Z": lambda at: "" if at.utcoffset() else "UTC",
    "z": lambda at: _offset(at, 0),
    ":z": lambda at: _offset(at, 1),
    "::z": lambda at: _offset(at, 2),
    "n": lambda at: "\n",
    "t": lambda at: "\t",
    "%": lambda at: "%",
}
COMPOSED = {
    "c": "%a %b %e %H:%M:%S %Y",
    "D": "%m/%d/%y",
    "x": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "v": "%e-%^b-%Y",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "r": "%I:%M:%S %p",
    "R": "%H:%M",
    "+": "%a %b %e %H:%M:%S %Z %Y",
}
