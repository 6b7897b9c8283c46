"""What pages need of a request and the API does not: a session, who is signed in by it, forms, notices, frames.

A service's request that only shows a key would pay a tenth of its time for them.
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
    """Before a middleware of Django's: the API's requests pass it by, whole."""

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
    """What a page may load and run (CONTENT_SECURITY_POLICY); one that says so itself keeps its own."""


class PageFrames(_PagesOnly, XFrameOptionsMiddleware):
    pass
