"""Tenancy of requests: which organization's rows a request may reach, reset when it ends."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from apps.users.audit_log import act_as, acting
from notifier.lib.database.tenancy import enter, fresh


class TenancyMiddleware:
    """Starts every request without a tenant and without an operator. For staff who are signed in to the admin both
    are set here; for keys and tokens the authentication sets them later."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with fresh(), acting():
            # The API's requests have no user yet: they are authenticated in the view.
            user = getattr(request, "user", None)
            if user is not None and user.is_authenticated:
                act_as(f"user:{user.pk}")
                if not user.is_superuser:
                    enter(user.organization_id)
            return self.get_response(request)
