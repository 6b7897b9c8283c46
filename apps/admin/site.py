"""The admin site: its sign-in and password change have the same rate limits as the API's, and a page of roles."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django_ratelimit.decorators import ratelimit

from apps.admin.lists.rows import operator_of
from apps.users.access import failed_sign_ins, throttling
from apps.users.models import User
from apps.users.models.scopes import ROLE_SCOPES, Role, Scope

WAIT = 60
"""Seconds sent in Retry-After: the limits are per minute, so a window ends within this time."""


def _attempts(name: str, rate: str) -> Any:
    # The group and rate of the API's view, so that an IP address has one count for the API and the admin.
    return method_decorator(ratelimit(group=name, key="ip", rate=rate, method="POST", block=False))


class OperatorSite(admin.AdminSite):
    site_header = site_title = "Notifier"
    index_title = "Messages, templates and accounts"

    def get_urls(self) -> list[Any]:
        return [path("roles/", self.admin_view(self.roles), name="roles"), *super().get_urls()]

    def roles(self, request: HttpRequest) -> HttpResponse:
        """Each role's scopes, and how many of the people visible to the operator have it."""
        operator = operator_of(request)
        if not operator.has_perm("users.view_user"):
            raise PermissionDenied
        people = User.objects.filter(erased_at=None, is_active=True)
        if not operator.is_superuser:
            people = people.filter(organization=operator.organization_id)
        having = dict(people.order_by().values_list("role").annotate(count=Count("pk")))
        roles = [
            {
                "name": role.label,
                "code": role.value,
                "people": having.get(role.value, 0),
                "scopes": [scope for scope in Scope if scope.value in ROLE_SCOPES[role]],
            }
            for role in Role
        ]
        context = {**self.each_context(request), "title": "Roles", "roles": roles}
        return TemplateResponse(request, "admin/roles.html", context)

    @_attempts("login", "20/m")  # type: ignore[untyped-decorator]
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if self._too_many(request, request.POST.get("username", "")[:254]):
            return self._come_back_later(request)
        return super().login(request, extra_context)

    @_attempts("password", "10/m")  # type: ignore[untyped-decorator]
    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        email = operator_of(request).email
        if self._too_many(request, email):
            return self._come_back_later(request)
        answer = super().password_change(request, extra_context)
        form = (getattr(answer, "context_data", None) or {}).get("form")
        if form is not None and form.has_error("old_password", "password_incorrect"):
            failed_sign_ins.count(email)
        return answer

    def _too_many(self, request: HttpRequest, email: str) -> bool:
        # The address's own request limit counts too: it also works without Redis.
        return request.method == "POST" and (
            request.limited  # type: ignore[attr-defined]
            or not throttling.take_request(request, None).allowed
            or failed_sign_ins.standing(email).remaining < 1
        )

    def _come_back_later(self, request: HttpRequest) -> HttpResponse:
        context = {**self.each_context(request), "title": "Too many attempts"}
        return TemplateResponse(
            request, "admin/too_many.html", context, status=429, headers={"Retry-After": str(WAIT)}
        )
