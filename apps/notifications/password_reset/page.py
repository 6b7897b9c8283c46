"""The page behind a reset's link, with a form for the new password. No sign-in, no cookie, no script."""

from typing import Any

import structlog
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from apps.notifications.password_reset import links
from apps.users.access import throttling
from apps.users.audit_log import acting
from apps.users.preferences.preference_page import HEADERS
from apps.users.preferences.translations import RESET_TRANSLATIONS, supported_language
from notifier.lib.database.tenancy import everywhere
from notifier.lib.masking import masked_address

log = structlog.get_logger(__name__)

PASSWORD_LIMIT = 1024


def _answer(status: int, language: str, **context: Any) -> HttpResponse:
    texts = RESET_TRANSLATIONS[language]
    shown = render_to_string("preferences/reset.html", {"language": language, "text": texts, **context})
    return HttpResponse(shown, status=status, headers=HEADERS)


# The code in the link authenticates the request.
@method_decorator(csrf_exempt, name="dispatch")
class ResetPage(View):
    http_method_names = ["get", "head", "post"]

    # The link alone decides whose password is set, even if another user is signed in to the admin.
    @everywhere()
    @acting()
    def dispatch(self, request: HttpRequest, *args: Any, code: str, **kwargs: Any) -> Any:
        standing = throttling.take_request(request, None)
        foreign = supported_language(request.headers.get("Accept-Language", ""))
        if not standing.allowed:
            answer = _answer(429, foreign, message="wait")
            answer["Retry-After"] = str(throttling.seconds(standing))
            return answer
        self.user = links.read(code)
        if self.user is None:
            return _answer(404, foreign, message="gone")
        self.code = code
        self.language = supported_language(self.user.language, self.user.organization.default_language)
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._form(200)

    def post(self, request: HttpRequest) -> HttpResponse:
        password = request.POST.get("new_password", "")
        try:
            if len(password) > PASSWORD_LIMIT or "\0" in password:
                raise ValidationError("This password is too long.")
            validate_password(password, self.user)
        except ValidationError as error:
            return self._form(400, error.messages)
        user = links.finish(self.code, password)
        if user is None:
            return _answer(404, self.language, message="gone")
        log.info("password_reset", user_id=str(user.pk))
        return _answer(200, self.language, message="done")

    def _form(self, status: int, errors: list[str] | None = None) -> HttpResponse:
        assert self.user is not None  # noqa: S101 - dispatch has answered without one
        texts = RESET_TRANSLATIONS[self.language]
        account = texts["for"].format(
            organization=self.user.organization.name, address=masked_address(self.user.email)
        )
        return _answer(status, self.language, form=True, whose=account, errors=errors or [])
