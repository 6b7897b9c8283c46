"""The admin pages of dead letters, and the two ways to close one: replay and discard."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from django.utils.text import Truncator

from apps.admin.lists import searching
from apps.admin.lists.filters import DeadLetterState, RecentValues, Within
from apps.admin.lists.paging import UncountedList
from apps.admin.lists.rows import Log, audit_name, operator_of
from apps.admin.lists.times import moment
from apps.notifications.management.dead_letter_table import with_recipients
from apps.notifications.models import DeadLetter
from apps.notifications.transitions import dead_letters
from notifier.lib.masking import masked_text

AT_ONCE = 500
"""Dead letters that one action processes, so that it fits in a request. For more: `manage.py replay_dlq`."""

LINKED = 5
"""Notifications that the message after a replay links to."""


class DeadLetterList(UncountedList):
    """Loads the recipients of a page's dead letters with one query per channel."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        for dead_letter, recipient, _ in with_recipients(self.result_list):
            dead_letter.shown_recipient = recipient  # type: ignore[attr-defined]


@admin.register(DeadLetter)
class DeadLetterPages(Log):
    list_display = (
        "failed", "state", "message", "request", "failure", "organization",
    )  # fmt: skip
    list_filter = (
        DeadLetterState,
        Within,
        "channel",
        ("reason", RecentValues),
        ("code", RecentValues),
        "organization",
    )
    list_select_related = ("organization", "notification__template_version__template")
    search_fields = ("id",)
    search_help_text = (
        "Exact match: an id, a request_id, a correlation id, a recipient's address or a device token."
    )
    fields = (
        "id", "state", "failed", "reason", "code", "provider_reply", "notification", "request_id", "channel",
        "recipient", "delivery_id", "template", "organization", "epoch", "queue", "body_text", "closed", "closed_by",
    )  # fmt: skip
    OF_A_DELIVERY = frozenset(
        {"notification", "request_id", "channel", "recipient", "delivery_id", "template", "epoch"}
    )
    OF_A_FOREIGN_MESSAGE = frozenset({"queue", "body_text"})
    actions = ("replay", "replay_unknown", "discard")

    failed = moment("created_at", "failed")
    closed = moment("closed_at")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().replace("\0", "")
        return (searching.first_found(queryset, searching.of_dead_letter(term)) if term else queryset), False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[UncountedList]:
        return DeadLetterList

    def get_fields(self, request: HttpRequest, obj: DeadLetter | None = None) -> list[Any]:
        hidden = self.OF_A_FOREIGN_MESSAGE if obj is not None and obj.delivery_id else self.OF_A_DELIVERY
        return [name for name in self.fields if name not in hidden]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        dead_letter = self.get_object(request, object_id) if object_id else None
        still_open = dead_letter is not None and dead_letter.state == DeadLetter.State.OPEN
        context = {
            "can_close": still_open and self.has_replay_permission(request),
            "replay_action": "replay_unknown"
            if dead_letter and dead_letter.reason == dead_letters.UNKNOWN
            else "replay",
        }
        return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return operator_of(request).has_perm("notifications.change_deadletter")

    @admin.display
    def message(self, dead_letter: DeadLetter) -> str:
        """Channel, recipient and template: one column, so that the list needs no sideways scrolling."""
        return _cell(
            f"{dead_letter.get_channel_display()} {self.recipient(dead_letter)}".strip(),
            self.template(dead_letter),
        )

    @admin.display(description="request_id")
    def request(self, dead_letter: DeadLetter) -> str:
        return _cell(self.request_id(dead_letter))

    @admin.display
    def failure(self, dead_letter: DeadLetter) -> str:
        why = ": ".join(dict.fromkeys(word for word in (dead_letter.reason, dead_letter.code) if word))
        return _cell(why, Truncator(masked_text(dead_letter.detail)).chars(80))

    @admin.display
    def recipient(self, dead_letter: DeadLetter) -> str:
        known: str | None = getattr(dead_letter, "shown_recipient", None)
        return next(with_recipients([dead_letter]))[1] if known is None else known

    @admin.display(description="request_id")
    def request_id(self, dead_letter: DeadLetter) -> str:
        return (dead_letter.notification.request_id if dead_letter.notification else None) or ""

    @admin.display(description="provider's reply")
    def provider_reply(self, dead_letter: DeadLetter) -> str:
        return masked_text(dead_letter.detail)

    @admin.display
    def template(self, dead_letter: DeadLetter) -> str:
        return str(dead_letter.notification.template_version) if dead_letter.notification else ""

    @admin.display(description="foreign message")
    def body_text(self, dead_letter: DeadLetter) -> str:
        return masked_text(bytes(dead_letter.body)[:1000].decode("utf-8", "backslashreplace"))

    @admin.action(description="Replay the selected dead letters", permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        self._replay(request, queryset, reason="")

    @admin.action(
        description="Replay the selected dead letters that may have arrived already", permissions=["replay"]
    )
    def replay_unknown(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        self._replay(request, queryset, reason=dead_letters.UNKNOWN)

    def _replay(self, request: HttpRequest, queryset: QuerySet[DeadLetter], *, reason: str) -> None:
        chosen = self._chosen(request, queryset)
        ids = tuple(dead_letter.pk for dead_letter in chosen)
        eligible = dead_letters.Selection(ids=ids, reason=reason).dead_letters()
        replayed = [
            dead_letter
            for dead_letter in eligible
            if dead_letters.replay(dead_letter, by=audit_name(request))
        ]
        done = len(replayed)
        level = messages.SUCCESS if done else messages.WARNING
        self.message_user(request, f"Dead letters replayed: {done}.", level)
        if replayed:
            self.message_user(request, format_html("Queued again: {}", _links(replayed)))
        if done < len(chosen):
            self.message_user(
                request,
                f"Not replayed: {len(chosen) - done}. They are already closed, expired, without a delivery, or "
                + ("known to have failed." if reason else "possibly arrived (use the other replay action)."),
                messages.WARNING,
            )

    @admin.action(description="Discard the selected dead letters", permissions=["replay"])
    def discard(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        done = sum(
            dead_letters.discard(dead_letter, by=audit_name(request))
            for dead_letter in self._chosen(request, queryset)
        )
        self.message_user(
            request, f"Dead letters discarded: {done}.", messages.SUCCESS if done else messages.WARNING
        )

    def _chosen(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> list[DeadLetter]:
        found = list(queryset.order_by("id")[: AT_ONCE + 1])
        if len(found) > AT_ONCE:
            self.message_user(
                request,
                f"Only the oldest {AT_ONCE} were processed; for more use `manage.py replay_dlq`.",
                messages.WARNING,
            )
        return found[:AT_ONCE]


def _links(selected: list[DeadLetter]) -> str:
    """Links to the notifications of the first LINKED dead letters."""
    ids = list(dict.fromkeys(dead_letter.notification_id for dead_letter in selected))[:LINKED]
    pages = [(reverse("admin:notifications_notification_change", args=[pk]), pk) for pk in ids]
    return format_html_join(", ", '<a href="{}">notification {}</a>', pages)


def _cell(*lines: str) -> str:
    """A table cell that may wrap anywhere: one long word must not widen the list."""
    shown = format_html_join(mark_safe("<br>"), "{}", ((line,) for line in lines if line))
    return format_html('<span style="overflow-wrap:anywhere">{}</span>', shown)
