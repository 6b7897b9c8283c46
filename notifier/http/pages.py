"""Middleware for pages alone: sessions, their users, CSRF, messages, frame and content policies.

For an API request, which authenticates by key or token, they would cost a tenth of its time.
"""

from typing import Any

from csp.middleware import CSPMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware

from notifier.http.rate_limit import API


class _PagesOnly:
    """Put before a middleware class of Django's: requests of the API skip that middleware altogether."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(API):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]


class PageSession(_PagesOnly, SessionMiddleware):
    pass


class PageForms(_PagesOnly, CsrfViewMiddleware):
    pass


class PageUser(_PagesOnly, AuthenticationMiddleware):
    pass


class PageNotices(_PagesOnly, MessageMiddleware):
    pass


class PagePolicy(_PagesOnly, CSPMiddleware):  # type: ignore[misc]
    """What a page may load and run (CONTENT_SECURITY_POLICY); a page with a policy of its own keeps it."""


class PageFrames(_PagesOnly, XFrameOptionsMiddleware):
    pass
