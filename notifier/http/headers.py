"""Response headers for caches and browsers."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from notifier.http.rate_limit import API

UNUSED = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "microphone",
    "payment",
    "usb",
)


class HeadersMiddleware:
    """Responses of the API hold personal data, so caches must not store them; pages may not use the browser's
    sensors, camera, microphone or payments."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path_info.startswith(API):
            response.headers.setdefault("Cache-Control", "no-store")
        else:
            response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        return response


PERMISSIONS = ", ".join(f"{name}=()" for name in UNUSED)
