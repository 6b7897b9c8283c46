"""The endpoint to which email services post their tracking events."""

import io
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.notifications import errors
from apps.notifications.channels.email.providers.esp import event_shapes, webhook_events
from apps.notifications.feedback import tracking_events, unread_events
from apps.notifications.routing.accounts import service_of
from apps.users.access import throttling

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
NOT_HERE = "There is no such provider, or its URL configures no tracking events."


class EventsTakenSerializer(serializers.Serializer[Any]):
    taken = serializers.IntegerField(help_text="Tracking events that were not received before.")


class ServiceEventsView(APIView):
    """Tracking events of this provider account's email service, in the service's own format.

    Verified by the `webhook_key` or `webhook_secret` in the account's URL, and by nothing else. An event of a kind
    that is not used here is accepted and ignored; the same event again changes nothing.
    """

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    body_limit = 4 * 1024 * 1024
    """Bytes; SparkPost sends thousands of events at once."""

    @extend_schema(request=None, responses=EventsTakenSerializer, auth=[])
    def post(self, request: Request, provider: str) -> Response:
        # The endpoint is public: nothing is parsed before the signature is verified, which costs a hash. Unsigned
        # posts are counted by the middleware, and answered with a 429 past its limit; signed ones are accepted all
        # the same, since a service's events come from a few addresses, in bursts.
        service = service_of(provider)
        if service is None:
            raise errors.NotHere(NOT_HERE)
        self.body_limit = (
            settings.BODY_LIMIT if service.service in webhook_events.SIGNED_INSIDE else self.body_limit
        )
        form = service.service in webhook_events.FORMS and request.content_type.startswith(FORM_TYPES)
        parser = self.get_content_negotiator().select_parser(request, self.get_parsers())
        if parser is None and not form:
            raise UnsupportedMediaType(request.content_type)
        post = self._body(request, form=form)
        if event_shapes.is_ping(service.service, post.body, request.headers.get("Signature", "")):
            return Response({"taken": 0})
        if not service.webhook:
            raise errors.NotHere(NOT_HERE)
        if len(post.body) <= self.body_limit:
            try:
                webhook_events.verify(service, post)
            except webhook_events.Unverified as error:
                raise errors.Unverified("The signature does not verify with the account's secret.") from error
            throttling.take_request(request._request, None, weight=0)
        if parser is not None and not form:
            # The checks for every body of the API, its size first.
            parser.parse(io.BytesIO(post.body), request.content_type, {"view": self})
        elif len(post.body) > self.body_limit:
            raise errors.PayloadTooLarge(f"The body is larger than {self.body_limit} bytes.")
        try:
            tracked, unread = webhook_events.read(service, post)
        except webhook_events.NotTracking as error:
            raise errors.NotTracking("Set this URL for tracking events, not for inbound mail.") from error
        taken = tracking_events.record(provider, tracked)
        if unread:
            unread_events.keep(provider, post, unread)
            message = f"{len(unread)} of these events have an unknown shape and were kept for the operators."
            raise errors.EventsUnread(message, headers={"Retry-After": "3600"})
        return Response({"taken": taken})

    def _body(self, request: Request, *, form: bool) -> webhook_events.Post:
        """The raw body, which is what is signed, read up to one octet past its limit."""
        stream: Any = request.stream
        octets = stream.read(self.body_limit + 1) if stream is not None else b""
        return webhook_events.Post(request.META, octets, form=form)
