"""API keys: issued (the key is shown once), changed within limits, revoked."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.validators import MaxValueValidator
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from apps.admin.lists.rows import OrganizationRows, RowForm, operator_of
from apps.users.api.views.keys import check_quota
from apps.users.models import ApiKey, Organization, default_expiry, default_scopes
from apps.users.models.scopes import Scope

CHANGEABLE = ("name", "rate_limit", "expires_at")


class NewKeyForm(RowForm):
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        initial=default_scopes,
        widget=forms.CheckboxSelectMultiple(attrs={"class": "radiolist"}),
        label="Permissions",
    )
    live = forms.TypedChoiceField(
        choices=[(True, "Live: reaches real people"), (False, "Test: everything goes to the sandbox")],
        coerce=lambda value: value == "True",
        initial=True,
        widget=forms.RadioSelect(attrs={"class": "radiolist"}),
        label="Kind",
    )

    class Meta:
        model = ApiKey
        fields = ("organization", "name", "scopes", "live", "rate_limit", "expires_at")

    def check_quota(self, organization: Organization) -> None:
        check_quota(organization)


@admin.register(ApiKey)
class ApiKeyPages(OrganizationRows):
    """A key is issued, listed and revoked. Its scopes are fixed when it is issued."""

    list_display = ("name", "prefix", "organization", "live", "expires_at", "revoked_at", "last_used_at")
    list_filter = ("organization", "live", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("organization",)
    search_fields = ("name", "prefix")
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        editable = ["organization", "name", "scopes", "live", "rate_limit", "expires_at"]
        return (
            [*editable, "prefix", "revoked_at", "last_used_at", "created_by", "created_at"]
            if obj
            else editable
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        if obj is None:
            return []
        return [name for name in self.get_fields(request, obj) if name not in CHANGEABLE]

    def get_form(
        self, request: HttpRequest, obj: Any | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        operator = operator_of(request)
        options = {"form": NewKeyForm} if obj is None else {}
        made = super().get_form(request, obj, change, **options, **kwargs)
        if not operator.is_superuser and "rate_limit" in made.base_fields:  # type: ignore[attr-defined]
            most = settings.RATE_LIMIT_KEY_MOST
            made.base_fields["rate_limit"].validators.append(MaxValueValidator(most))  # type: ignore[attr-defined]
        if obj is not None:
            return made
        made.base_fields["expires_at"].initial = default_expiry  # type: ignore[attr-defined]
        if not operator.is_superuser:
            # An operator must not grant a scope that they lack.
            made.base_fields["scopes"].choices = [  # type: ignore[attr-defined]
                (value, label) for value, label in Scope.choices if value in operator.scopes
            ]
        return made

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return super().has_change_permission(request, obj) and (
            obj is None or operator_of(request).reaches(obj)
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        # Notifications and audit entries refer to the key that made them.
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=CHANGEABLE)
            return
        key, plain = ApiKey.objects.issue(
            id=obj.pk,
            organization=obj.organization,
            name=obj.name,
            scopes=obj.scopes,
            live=obj.live,
            rate_limit=obj.rate_limit,
            expires_at=obj.expires_at,
            created_by=operator_of(request),
        )
        obj.prefix = key.prefix
        request.plain_key = plain  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        shown = format_html(
            "Copy this key now; it is not shown again: <code>{}</code>",
            request.plain_key,  # type: ignore[attr-defined]
        )
        self.message_user(request, shown, messages.WARNING)
        return super().response_add(request, obj, post_url_continue)

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        keys = [key for key in queryset.filter(revoked_at=None) if self.has_change_permission(request, key)]
        for key in keys:
            self.log_change(request, key, "Revoked.")
        ApiKey.objects.filter(pk__in=[key.pk for key in keys]).update(revoked_at=Now())
        self.message_user(request, f"Keys revoked: {len(keys)}. Requests with them are refused from now on.")
