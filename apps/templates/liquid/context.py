"""The context of one rendering: missing variables, bounded ranges, and the budget of steps, time and memory."""

import re
import time
from collections.abc import Callable
from io import StringIO
from typing import Any, TextIO

from liquid import BoundTemplate, RenderContext
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import (
    FilterArgumentError,
    FilterError,
    FilterValueError,
    LiquidError,
    UndefinedError,
)
from liquid.output import LimitedStringIO
from liquid.token import Token
from liquid.undefined import UNDEFINED, FalsyStrictUndefined, is_undefined

from apps.templates.liquid.budget import cpu_deadline
from apps.templates.liquid.filters.registry import CONVERSIONS
from apps.templates.liquid.limits import (
    BEFORE,
    LOOP_LIMIT,
    NAMESPACE_LIMIT,
    OUTPUT_LIMIT,
    STEP_LIMIT,
    TooMuch,
    TooSlow,
    weigh,
)

ODD_VALUES = (ArithmeticError, ValueError, TypeError, LookupError, AttributeError)


class Missing(FalsyStrictUndefined):
    """A missing variable: false in a condition, replaced by `default`, an error anywhere else."""

    __slots__ = ()

    def __init__(
        self, name: str, *, token: Token | None, obj: object = UNDEFINED, hint: str | None = None
    ) -> None:
        path = name if hint is None or hint.startswith("index") else hint.removesuffix(" is undefined")
        super().__init__(name, token=token, obj=obj, hint=f"the variable {path.strip(chr(39))} is missing")


MISSING = re.compile(r"the variable (.+) is missing")
BRACKETS = re.compile(r"\['(.*?)'\]")


def missing_name(error: LiquidError) -> str:
    """The variable whose absence `error` reports, as `order.lines.price`: the library leaves out indexes, and what
    follows one past a list's end. Empty where the error is about something else."""
    found = MISSING.fullmatch(str(error.message)) if isinstance(error, UndefinedError) else None
    return BRACKETS.sub(r".\1", found[1]) if found else ""


class BoundedRange(RangeLiteral):
    """A range literal with a length limit: iterating over a long one is not stopped by any other limit."""

    __slots__ = ()

    def _make_range(self, start: Any, stop: Any) -> range:
        made = super()._make_range(start, stop)
        if made.stop - made.start > LOOP_LIMIT:
            raise TooMuch(f"a range holds at most {LOOP_LIMIT} numbers", self.token)
        return made


def unchanged_buffer(limit: int) -> LimitedStringIO:
    """The output buffer of a rendering; line endings are kept as in the source."""
    return LimitedStringIO(limit=limit, newline="")


class BoundedContext(RenderContext):
    """One rendering, with its budget."""

    def __init__(self, template: BoundTemplate, **kwargs: Any) -> None:
        self._steps = 0
        self._clock_at = self._looked_up = 0
        self._deadline, self._why = cpu_deadline()
        self._held: dict[str, int] = {}
        self._kept = 0
        super().__init__(template, **kwargs)

    # The library reads this before it renders each node, which makes it the only hook that sees every node.
    # (Tags are disabled for partial templates only, which don't exist here.)
    @property
    def disabled_tags(self) -> list[str]:
        self.spend(1)
        return []

    @disabled_tags.setter
    def disabled_tags(self, value: list[str]) -> None:
        pass

    def spend(self, steps: int) -> None:
        self._steps += steps
        if self._steps > STEP_LIMIT:
            raise TooMuch("the template does too much work")
        if self._steps >= self._clock_at:
            self._clock_at = self._steps + 16
            self._look_at_clock()

    def _look_at_clock(self) -> None:
        if time.thread_time() > self._deadline:
            raise TooSlow(self._why)

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        # One condition may compare large values hundreds of times, but counts as one step.
        self._looked_up += 1
        if not self._looked_up % 16:
            self._look_at_clock()
        return super().get(path, token=token, default=default)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        return unchanged_buffer(OUTPUT_LIMIT - (buf.size if isinstance(buf, LimitedStringIO) else 0))

    def assign(self, key: str, val: Any) -> None:
        if is_undefined(val):
            raise UndefinedError(val.msg, token=val.token)
        weight = weigh(val)
        self._kept += weight - self._held.get(key, 0)
        self._held[key] = weight
        if self._kept > NAMESPACE_LIMIT:
            raise TooMuch("the template keeps too much in its own variables")
        super().assign(key, val)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        function = super().filter(name, token)
        before, convert = BEFORE.get(name), CONVERSIONS.get(name)

        def bounded(value: object, *args: Any, **kwargs: object) -> object:
            given = (value, *args, *kwargs.values())
            self.spend(1 + sum(map(weigh, given)) // 128)
            if name != "default":
                for part in given:
                    if is_undefined(part):
                        # `date`, `plus` and others would treat it as an empty value.
                        raise UndefinedError(part.msg, token=token)  # type: ignore[attr-defined]
            try:
                if convert:
                    value, *rest = convert(value, *args)
                    args = tuple(rest)
                if before:
                    before(value, *args, **kwargs)
                result = function(value, *args, **kwargs)
            except (FilterError, FilterArgumentError, FilterValueError, *ODD_VALUES) as error:
                # Not the error's own message: it may quote the value.
                message = f"the filter {name} can't work with what it is given"
                raise FilterArgumentError(message, token=token) from error
            weigh(result)
            return result

        return bounded
