"""Rate limits of callers: by key, by person, and by network address for requests without a valid credential."""

import math
import threading
import time
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apps.users.access.authentication import Caller
from notifier.channels.registry import CODES
from notifier.lib.http.client_address import client_network
from notifier.lib.redis import sliding_window
from notifier.lib.redis.sliding_window import SECOND, Standing

if TYPE_CHECKING:
    # DRF's views import this module, by its name in the settings.
    from rest_framework.views import APIView

MINUTE = 60 * SECOND


class OrganizationLimited(Throttled):
    default_detail = (
        "This organization's keys and people together have sent as many requests in this minute as they may "
        "(RATE_LIMIT_ORGANIZATION)."
    )
    extra_detail_singular = extra_detail_plural = ""


organizations = sliding_window.LocalSlidingWindows()
"""In this process alone: a second round trip to Redis would cost every request."""


class RequestLimit(BaseThrottle):
    """Counts each request that passed authentication and permissions; the middleware counts the others."""

    standing: Standing

    def allow_request(self, request: Request, view: "APIView") -> bool:
        if isinstance(request.auth, Caller):
            together = organizations.take(
                str(request.auth.organization.pk),
                limit=settings.RATE_LIMIT_ORGANIZATION,
                weight=1,
                length=MINUTE,
            )
            if not together.allowed:
                raise OrganizationLimited(seconds(together))
        self.standing = take_request(request._request, request.auth)
        return self.standing.allowed

    def wait(self) -> float:
        return seconds(self.standing)


def take_request(request: HttpRequest, caller: Any, *, weight: int = 1) -> Standing:
    """Count a request for `caller`, or for its address where that is no Caller; weight 0 only reads the state."""
    if not isinstance(caller, Caller):
        name, limit = f"address:{client_network(request)}", settings.RATE_LIMIT_ADDRESS
    elif caller.api_key is not None:
        name, limit = caller.name, caller.api_key.rate_limit or settings.RATE_LIMIT_KEY
    else:
        name, limit = caller.name, settings.RATE_LIMIT_PERSON
    return _noted(request, sliding_window.take(f"requests:{name}", limit=limit, weight=weight, length=MINUTE))


def take_items(request: HttpRequest, caller: Caller, count: int) -> None:
    """Count a batch's items, which have a quota of their own beside the request's. Raises Throttled."""
    check_deliveries(caller)
    standing = _items(caller, count)
    if not _noted(request, standing).allowed:
        raise Throttled(seconds(standing))


def charge_deliveries(caller: Caller, made: int, *, items: int) -> None:
    """Count the deliveries that `items` made beyond one a channel: many devices of one person cost as much as many
    people.

    The number is known only after they were made; where the quota has no room for them, the caller's next requests
    are refused for up to a minute.
    """
    count = made - items * len(CODES)
    if count <= 0:
        return
    standing = _items(caller, count)
    if not standing.allowed:
        wait = standing.wait if count <= standing.limit else MINUTE
        with _lock:
            if len(_over) > sliding_window.NAMES_LIMIT:
                _over.clear()
            _over[caller.name] = time.monotonic() + wait / SECOND


def check_deliveries(caller: Caller) -> None:
    """Raises Throttled where the caller's deliveries exceeded the quota, by this process's memory alone."""
    ends = _over.get(caller.name)
    if ends is None:
        return
    if (left := ends - time.monotonic()) > 0:
        raise Throttled(math.ceil(left))
    with _lock:
        _over.pop(caller.name, None)


_over: dict[str, float] = {}
_lock = threading.Lock()


def _items(caller: Caller, count: int) -> Standing:
    return sliding_window.take(
        f"items:{caller.name}", limit=settings.RATE_LIMIT_ITEMS, weight=count, length=MINUTE
    )


def _noted(request: HttpRequest, standing: Standing) -> Standing:
    # For the response's headers, which show what was counted last.
    request.rate_limit = standing  # type: ignore[attr-defined]
    return standing


def seconds(standing: Standing) -> int:
    """Whole seconds after which a retry can succeed, at least 1."""
    return max(1, math.ceil(standing.wait / SECOND))


def headers(standing: Standing) -> dict[str, str]:
    """`X-RateLimit-Reset` is a Unix time: when `Remaining` grows or, after a 429, is enough for the request."""
    return {
        "X-RateLimit-Limit": str(standing.limit),
        "X-RateLimit-Remaining": str(standing.remaining),
        "X-RateLimit-Reset": str(math.ceil(time.time() + standing.wait / SECOND)),
    }
