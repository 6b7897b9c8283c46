"""People: the recipients of notifications, some of whom may also sign in."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.auth import admin as auth_admin
from django.contrib.auth import forms as auth_forms
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils.text import format_lazy
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from apps.admin.lists.rows import OrganizationRows, RowForm, is_superuser, operator_of
from apps.users.models import Category, Device, NotificationPreference, User
from apps.users.models.scopes import Role
from notifier.lib.masking import masked_token

if TYPE_CHECKING:
    TabularInline = admin.TabularInline[Any, Any]
    UserAdmin = auth_admin.UserAdmin[User]
    AdminUserCreationForm = auth_forms.AdminUserCreationForm[User]
    UserChangeForm = auth_forms.UserChangeForm[User]
else:
    TabularInline = admin.TabularInline
    UserAdmin = auth_admin.UserAdmin
    AdminUserCreationForm = auth_forms.AdminUserCreationForm
    UserChangeForm = auth_forms.UserChangeForm

# These pages would show sign-in tokens of every organization's people.
admin.site.unregister([BlacklistedToken, OutstandingToken])
# Replaced by GroupPages below.
admin.site.unregister(Group)


@admin.register(Group)
class GroupPages(auth_admin.GroupAdmin):
    """A group may contain people of several organizations, so only superusers manage groups."""

    def has_module_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return is_superuser(request)

    has_view_permission = has_add_permission = has_module_permission
    has_change_permission = has_delete_permission = has_module_permission


ROLES = format_lazy('See <a href="{}">what each role may do</a>.', reverse_lazy("admin:roles"))
TAKEN = "Another person in this organization has this address."


class NewPersonForm(RowForm, AdminUserCreationForm):
    taken = TAKEN
    usable_password = forms.ChoiceField(
        label="Sign-in",
        choices=[("false", "No password: receives messages only"), ("true", "With this password")],
        initial="false",
        widget=forms.RadioSelect(attrs={"class": "radiolist"}),
    )

    class Meta:
        model = User
        fields = ("organization", "email", "phone", "name")


class PersonForm(RowForm, UserChangeForm):
    taken = TAKEN

    class Meta:
        model = User
        fields = "__all__"
        field_classes: dict[str, Any] = {}


class Preferences(TabularInline):
    model = NotificationPreference
    fields = ("category", "channel", "enabled", "source", "updated_at")
    readonly_fields = ("source", "updated_at")
    extra = 0
    verbose_name_plural = "preferences (allowed unless listed here)"

    def get_formset(self, request: HttpRequest, obj: Any | None = None, **kwargs: Any) -> Any:
        made = super().get_formset(request, obj, **kwargs)
        if obj is not None and "category" in made.form.base_fields:
            field: Any = made.form.base_fields["category"]
            field.queryset = Category.objects.filter(organization=obj.organization)
        return made


class Devices(TabularInline):
    """Devices are registered by the mobile apps; here they can be viewed and removed, not edited."""

    model = Device
    fields = readonly_fields = ("name", "platform", "masked_token", "retired_at", "created_at")
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    @admin.display(description="token")
    def masked_token(self, device: Device) -> str:
        return masked_token(device.token)


@admin.register(User)
class PersonPages(OrganizationRows, UserAdmin):
    form = PersonForm
    add_form = NewPersonForm
    inlines = (Preferences, Devices)
    list_display = ("email", "name", "organization", "role", "is_active")
    list_filter = ("organization", "role", "is_active", "is_staff")
    list_select_related = ("organization",)
    search_fields = ("email", "phone", "name")
    ordering = ("email",)
    readonly_fields = ("last_login", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("organization", "email", "phone", "name", "language", "timezone", "is_active")}),
        ("Quiet hours", {"fields": (("quiet_from", "quiet_until"),)}),
        (
            "Sign-in",
            {
                "description": ROLES,
                "fields": ("password", "role", "is_staff", "is_superuser", "groups", "user_permissions"),
            },
        ),
        ("Times", {"fields": ("last_login", "created_at", "updated_at")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": (
                    "organization",
                    "email",
                    "phone",
                    "name",
                    "usable_password",
                    "password1",
                    "password2",
                ),
            },
        ),
    )

    def get_inlines(self, request: HttpRequest, obj: Any | None) -> Any:
        return self.inlines if obj else ()

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        fields = super().get_readonly_fields(request, obj)
        operator = operator_of(request)
        if not operator.is_superuser:
            fields += ["is_staff", "is_superuser", "groups", "user_permissions"]
            fields += ["role"] if operator.role != Role.ADMIN else []
        return fields

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return super().has_change_permission(request, obj) and _reached(operator_of(request), obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _reached(operator_of(request), obj)


def _reached(operator: User, person: User | None) -> bool:
    return person is None or operator.reaches(person)
