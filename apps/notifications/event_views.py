"""Where email services tell what became of messages."""

import io
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.notifications import errors, provider_events
from apps.notifications.providers import esp_events
from apps.notifications.providers.esp_settings import KEY_NAMES, EspSettings
from apps.notifications.providers.registry import configured
from apps.users import throttling
from apps.users.channels import Channel


class EventsTakenSerializer(serializers.Serializer[Any]):
    taken = serializers.IntegerField(help_text="Events that were not told before.")


class ServiceEventsView(APIView):
    """What the email service of this provider account tells of its messages, as it sends it.

    Verified by the `webhook_key` or `webhook_secret` in the account's URL, and by nothing else. An event of a
    kind that means nothing here is taken and ignored; the same event again changes nothing.
    """

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    body_limit = 4 * 1024 * 1024
    """Bytes; SparkPost sends thousands of events at once."""

    @extend_schema(request=None, responses=EventsTakenSerializer, auth=[])
    def post(self, request: Request, provider: str) -> Response:
        settings = _service(provider)
        post = self._read(request)
        try:
            told = esp_events.read(settings, post)
        except esp_events.Unverified as fault:
            raise errors.Unverified("This was not signed with the account's secret.") from fault
        except esp_events.NotTracking as fault:
            raise errors.NotTracking("Set this URL for tracking events, not for inbound mail.") from fault
        # All of a service's events come from a few addresses, in bursts: what is verified counts for none of them.
        # What is not was counted by the middleware, as a refused key is.
        throttling.take_request(request._request, None, weight=0)
        return Response({"taken": provider_events.take(provider, told)})

    def _read(self, request: Request) -> esp_events.Post:
        """The body as it came, which is what is signed, after the checks that every body of the API passes."""
        parser = self.get_content_negotiator().select_parser(request, self.get_parsers())
        if parser is None:
            raise UnsupportedMediaType(request.content_type)
        stream: Any = request.stream
        raw = stream.read(self.body_limit + 1) if stream is not None else b""
        parser.parse(io.BytesIO(raw), request.content_type, {"view": self})
        return esp_events.Post(request.META, raw)


def _service(name: str) -> EspSettings:
    """The account's settings. Raises NotHere where no account of that name takes events."""
    for account in configured(Channel.EMAIL):
        if account.name == name and account.scheme in KEY_NAMES:
            settings = EspSettings.from_url(account.url)
            if settings.webhook:
                return settings
    raise errors.NotHere("There is no such provider, or its URL says nothing of events.")
