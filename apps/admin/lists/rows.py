"""Base classes of the admin pages: a superuser sees all rows, other staff their own organization's."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import NON_FIELD_ERRORS
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest

from apps.admin.lists.paging import BoundedPaginator, UncountedList
from apps.users.access.quotas import QuotaReached
from apps.users.models import Organization, User

if TYPE_CHECKING:
    # The stubs' classes are generic; Django's own are not.
    ModelAdmin = admin.ModelAdmin[Any]
    ModelForm = forms.ModelForm[Any]
else:
    ModelAdmin = admin.ModelAdmin
    ModelForm = forms.ModelForm


FILTER_LOOKUPS = frozenset(
    {"", "__exact", "__in", "__isnull", "__isempty", "__id__exact", "__pk__exact", "__id__in", "__pk__in"}
)
"""Look-ups that the admin's own filters append to a field's name."""


def operator_of(request: HttpRequest) -> User:
    """The signed-in operator. Only for views that the admin's sign-in protects."""
    assert isinstance(request.user, User)  # noqa: S101 - the admin admits signed-in users only
    return request.user


def is_superuser(request: HttpRequest) -> bool:
    """Also called for requests without a signed-in user."""
    return bool(getattr(request.user, "is_superuser", False))


def audit_name(request: HttpRequest) -> str:
    """The operator's name in the audit log and in `created_by` fields: `user:<id>`."""
    return f"user:{operator_of(request).pk}"


class RowForm(ModelForm):
    """A form that also validates constraints over fields that it doesn't show (`constrained`)."""

    constrained: ClassVar[frozenset[str]] = frozenset({"organization"})
    taken: ClassVar[str] = "An identical row exists already."
    """The error shown when a constraint of the model refuses the row."""

    def check_quota(self, organization: Organization) -> None:
        """Raises QuotaReached where the organization may not create another such row."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        organization = self.cleaned_data.get("organization")
        if organization is not None and self.instance._state.adding:
            try:
                self.check_quota(organization)
            except QuotaReached as error:
                raise forms.ValidationError(str(error.detail)) from error
        return cleaned

    def _get_validation_exclusions(self) -> set[str]:
        hidden: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return hidden if self.errors else hidden - self.constrained

    def _update_errors(self, errors: Any) -> None:
        # The error of a constraint with a condition or an expression has no code, and its text shows the
        # constraint's name.
        for error in getattr(errors, "error_dict", {}).get(NON_FIELD_ERRORS, ()):
            if error.code is None:
                error.message = self.taken
        super()._update_errors(errors)  # type: ignore[misc]


class OrganizationRows(ModelAdmin):
    """Limits rows to the operator's organization. `organization_path`: the look-up from a row to it."""

    organization_path: ClassVar[str] = "organization"
    list_per_page = 50
    # Facets would run a count for every choice of every filter.
    show_facets = admin.ShowFacets.NEVER

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        operator = operator_of(request)
        return (
            rows
            if operator.is_superuser
            else rows.filter(**{self.organization_path: operator.organization_id})
        )

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only the look-ups of the list's own filters: `?email__startswith=` would reveal what a column masks."""
        for chosen in self.get_list_filter(request) if request is not None else ():
            if hasattr(chosen, "parameter_name"):
                allowed = lookup == chosen.parameter_name
            else:
                name = str(chosen if isinstance(chosen, str) else chosen[0])
                allowed = lookup.startswith(name) and lookup.removeprefix(name) in FILTER_LOOKUPS
            if allowed:
                return True
        return False

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        filters = list(super().get_list_filter(request))
        return (
            filters
            if operator_of(request).is_superuser
            else [one for one in filters if one != "organization"]
        )

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        columns = list(super().get_list_display(request))
        # With a single organization, the column carries no information.
        several = operator_of(request).is_superuser and len(Organization.objects.values("pk")[:2]) > 1
        return columns if several else [one for one in columns if one != "organization"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        # Related rows (devices, versions, logs) store the same organization, so a row can't move to another.
        return [*super().get_readonly_fields(request, obj), *(["organization"] if obj else [])]

    def formfield_for_foreignkey(
        self, db_field: "ForeignKey[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> Any:
        operator = operator_of(request)
        if db_field.related_model is Organization and not operator.is_superuser:
            own = Organization.objects.filter(pk=operator.organization_id)
            return forms.ModelChoiceField(own, initial=own.first(), empty_label=None)
        if db_field.related_model is Organization:
            kwargs.setdefault("initial", operator.organization_id)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class ReadOnly(OrganizationRows):
    """Rows that only the system writes: `fields` are shown, none can be edited."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        return list(self.fields or ())


class Log(ReadOnly):
    """A table that grows without bound: no query here may count it or read all of it."""

    paginator = BoundedPaginator
    show_full_result_count = False
    ordering = ("-id",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[UncountedList]:
        return UncountedList

    def get_sortable_by(self, request: HttpRequest) -> tuple[str, ...]:
        # Newest first is the primary key's order; any other would sort the whole table.
        return ()
