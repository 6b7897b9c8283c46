"""Suppressions: added by hand, searched by exact recipient, lifted with a reason."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.admin.lists.filters import RecentValues
from apps.admin.lists.rows import OrganizationRows, RowForm, audit_name, operator_of
from apps.notifications.models import Suppression
from apps.users.access.permissions import reaches_recipient
from apps.users.models import User
from apps.users.recipient_hashes import hashes_of, recipient_hash
from notifier.channels.registry import CHANNELS, NOUNS
from notifier.lib.masking import masked_text


class NewSuppressionForm(RowForm):
    constrained = frozenset({"organization", "recipient_hash", "lifted_at"})
    taken = "This recipient is already suppressed."
    operator: User
    address = forms.CharField(max_length=4096, label=NOUNS.capitalize())
    reason = forms.CharField(max_length=64, initial="by_hand", help_text="A short code, for filtering.")

    class Meta:
        model = Suppression
        fields = ("organization", "channel", "reason", "detail")

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        channel, address = self.cleaned_data.get("channel"), self.cleaned_data.get("address")
        if channel and address:
            declared = CHANNELS[channel].address
            try:
                address = declared.spelled(address)
            except ValueError as error:
                self.add_error("address", str(error))
                return cleaned
            organization = self.cleaned_data.get("organization")
            if not reaches_recipient(self.operator, channel, address, organization):
                self.add_error(
                    "address", "The owner of this address or device has more permissions than you."
                )
            self.instance.recipient_hash = recipient_hash(channel, address)
            # A token is found by its hash and is of no use to a reader; an address is stored to be shown.
            self.instance.recipient = address if declared.readable else ""
        return cleaned


class LiftForm(ActionForm):
    reason = forms.CharField(required=False, max_length=200, label="Reason for lifting:")


@admin.register(Suppression)
class SuppressionPages(OrganizationRows):
    list_display = ("masked", "channel", "reason", "organization", "lifted_at", "created_at")
    list_filter = (
        "channel",
        ("reason", RecentValues),
        ("lifted_at", admin.EmptyFieldListFilter),
        "organization",
    )
    list_select_related = ("organization",)
    ordering = ("-id",)
    search_fields = ("id",)
    search_help_text = f"Exact match: {NOUNS}."
    form = NewSuppressionForm
    actions = ("lift",)
    action_form = LiftForm

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        return queryset.filter(recipient_hash__in=hashes_of(search_term.strip())), False

    def get_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        if obj is None:
            return ["organization", "channel", "address", "reason", "detail"]
        readonly = [
            "organization",
            "channel",
            "masked",
            "reason",
            "masked_detail",
            "created_at",
            "created_by",
        ]
        return [*readonly, "lifted_at", "lifted_by", "lift_reason"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        return self.get_fields(request, obj) if obj else []

    def get_form(
        self, request: HttpRequest, obj: Any | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        made = super().get_form(request, obj, change, **kwargs)
        made.operator = operator_of(request)  # type: ignore[attr-defined]
        return made

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    def has_lift_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("notifications.change_suppression")

    @admin.display(description="recipient")
    def masked(self, row: Suppression) -> str:
        return row.masked_recipient or (
            "erased" if CHANNELS[row.channel].address.readable else row.recipient_hash[:8]
        )

    @admin.display(description="detail")
    def masked_detail(self, row: Suppression) -> str:
        return masked_text(row.detail)

    @admin.action(
        description="Lift the selected suppressions: send to these recipients again", permissions=["lift"]
    )
    def lift(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> None:
        reason = str(request.POST.get("reason", "")).strip()[:200]
        if not reason:
            self.message_user(request, "Give a reason beside the action; nothing was lifted.", messages.ERROR)
            return
        rows = list(queryset.filter(lifted_at=None))
        for row in rows:
            self.log_change(request, row, "Lifted.")
        chosen = Suppression.objects.filter(pk__in=[row.pk for row in rows])
        lifted = chosen.lift(by=audit_name(request), reason=reason)
        self.message_user(request, f"Suppressions lifted: {lifted}.")

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        obj.created_by = audit_name(request)
        super().save_model(request, obj, form, change)
