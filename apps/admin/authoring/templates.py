"""Admin pages of templates, each with the list of its versions."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from apps.admin.authoring.version_pages import VersionPages
from apps.admin.lists.rows import RowForm, operator_of
from apps.templates import credentials
from apps.templates.api.views.templates import check_quota
from apps.templates.authoring import parts
from apps.templates.models import Template, TemplateVersion
from apps.users.models import Category, Organization

if TYPE_CHECKING:
    CategoryField = forms.ModelChoiceField[Category]
    VersionField = forms.ModelChoiceField[TemplateVersion]
else:
    CategoryField = VersionField = forms.ModelChoiceField


class VersionChoice(VersionField):
    def label_from_instance(self, obj: Any) -> str:
        return f"v{obj.number}: {obj.note}" if obj.note else f"v{obj.number}"


class CategoryChoice(CategoryField):
    several = False
    """Whether the choices belong to several organizations, so that each label names its own."""

    def label_from_instance(self, obj: Any) -> str:
        label = f"{obj.name} ({obj.code})"
        return f"{obj.organization}: {label}" if self.several else label


class TemplateForm(RowForm):
    constrained = frozenset({"organization", "code", "archived_at"})
    taken = "Another template in this organization has this code."

    class Meta:
        labels: ClassVar = {"on_unknown": "If a crash leaves it unknown whether a message was sent"}
        field_classes: ClassVar = {"category": CategoryChoice, "fallback_version": VersionChoice}

    def check_quota(self, organization: Organization) -> None:
        check_quota(organization)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        category, organization = self.cleaned_data.get("category"), self.cleaned_data.get("organization")
        if category and organization and category.organization_id != organization.pk:
            self.add_error(
                "category", f"This category belongs to another organization, not to {organization}."
            )
        return cleaned


@admin.register(Template)
class TemplatePages(VersionPages):
    form = TemplateForm
    list_display = (
        "code",
        "name",
        "organization",
        "category",
        "version_in_use",
        "if_unknown",
        "archived_at",
        "updated_at",
    )
    list_filter = (
        "organization",
        ("category", admin.RelatedOnlyFieldListFilter),
        "on_unknown",
        ("archived_at", admin.EmptyFieldListFilter),
    )
    list_select_related = ("organization", "active_version", "category")
    search_fields = ("code", "name", "description")
    actions = ("archive",)

    def get_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        editable = ["organization", "code", "name", "description", "category", "on_unknown"]
        if obj is None:
            return editable
        return [*editable, "fallback_version", "version_in_use", "created_at", "updated_at", "archived_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        if obj is None:
            return []
        # API callers refer to a template by its code.
        return ["organization", "code", "version_in_use", "created_at", "updated_at", "archived_at"]

    def get_form(
        self, request: HttpRequest, obj: Any | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        made: Any = super().get_form(request, obj, change, **kwargs)
        if "category" in made.base_fields:
            field, operator = made.base_fields["category"], operator_of(request)
            rows = Category.objects.select_related("organization").order_by("organization__name", "name")
            field.several = obj is None and operator.is_superuser and Organization.objects.count() > 1
            if not field.several:
                rows = rows.filter(organization=obj.organization if obj else operator.organization)
            field.queryset = rows
            # Categories are edited on their own pages: a misclick here must not delete one.
            for what in ("add", "change", "delete", "view"):
                setattr(field.widget, f"can_{what}_related", False)
        if "fallback_version" in made.base_fields:
            made.base_fields["fallback_version"].queryset = TemplateVersion.objects.filter(template=obj)
        return made

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return super().has_change_permission(request, obj) and (
            obj is None or credentials.may_write(obj.code, operator_of(request).scopes)
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        # Notifications refer to the template that they were sent with.
        return False

    @admin.display(description="version in use")
    def version_in_use(self, template: Template) -> str:
        return f"v{template.active_version.number}" if template.active_version else "none yet"

    @admin.display(description="if unknown", ordering="on_unknown")
    def if_unknown(self, template: Template) -> str:
        # The full label would make the list wider than a screen.
        return template.get_on_unknown_display().partition(":")[0]

    @admin.action(description="Archive the selected: callers can no longer use them", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Template]) -> None:
        rows = [row for row in queryset.filter(archived_at=None) if self.has_change_permission(request, row)]
        for row in rows:
            self.log_change(request, row, "Archived.")
        Template.objects.filter(pk__in=[row.pk for row in rows]).update(archived_at=Now())
        self.message_user(request, f"Templates archived: {len(rows)}.")

    def response_add(
        self, request: HttpRequest, obj: Template, post_url_continue: str | None = None
    ) -> HttpResponse:
        self.message_user(
            request, f"The template {obj} was created. Now write its first version.", messages.SUCCESS
        )
        return HttpResponseRedirect(reverse("admin:templates_template_version_add", args=[obj.pk]))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        template = self.get_object(request, object_id) if object_id else None
        versions = TemplateVersion.objects.filter(template=template).select_related("created_by")
        in_use = template.active_version if template else None
        context = {"versions": versions, "changed": parts.changed_since(in_use) if in_use else []}
        return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})
