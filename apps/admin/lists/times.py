"""Times for log tables: to the second, ISO order, always UTC."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.utils.html import format_html


def moment(field: str, label: str = "") -> Callable[[Any, Any], str]:
    """A column of an admin page for the time in `field`; `label` replaces the heading made of the field's name."""

    @admin.display(description=label or field.replace("_", " "))
    def shown(_: Any, row: Any) -> str:
        value = getattr(row, field)
        if value is None:
            return "-"
        return format_html('<span style="white-space:nowrap">{}</span>', value.strftime("%Y-%m-%d %H:%M:%S"))

    return shown
