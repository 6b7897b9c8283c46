"""Whose rows a request may reach: set at its beginning, forgotten at its end."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from apps.users.audit_log import act_as, acting
from notifier.lib.database.tenancy import enter, fresh


class TenancyMiddleware:
    """Nobody is known at a request's beginning; staff who are signed in to the admin are, keys and tokens get
    known by their authentication."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with fresh(), acting():
            # The API's requests have none yet: their authentication comes with the view.
            user = getattr(request, "user", None)
            if user is not None and user.is_authenticated:
                act_as(f"user:{user.pk}")
                if not user.is_superuser:
                    enter(user.organization_id)
            return self.get_response(request)
