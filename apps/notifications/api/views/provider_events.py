"""The endpoint to which providers post their tracking events."""

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
from apps.notifications.channels.tracking import NotTracking, Post, Unverified
from apps.notifications.feedback import tracking_events, unread_events
from apps.notifications.routing.accounts import events_of
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

    @extend_schema(responses=EventsTakenSerializer, auth=[])
    def get(self, request: Request, provider: str) -> Response:
        if events_of(provider) is None:
            raise errors.NotHere(NOT_HERE)
        return Response({"taken": 0})

    @extend_schema(request=None, responses=EventsTakenSerializer, auth=[])
    def post(self, request: Request, provider: str) -> Response:
        # The endpoint is public: nothing is parsed before the signature is verified, which costs a hash. Unsigned
        # posts are counted by the middleware, and answered with a 429 past its limit; signed ones are accepted all
        # the same, since a service's events come from a few addresses, in bursts.
        reader = events_of(provider)
        if reader is None:
            raise errors.NotHere(NOT_HERE)
        if reader.signed_inside:
            self.body_limit = settings.BODY_LIMIT
        form = reader.forms and request.content_type.startswith(FORM_TYPES)
        parser = self.get_content_negotiator().select_parser(request, self.get_parsers())
        if parser is None and not form:
            raise UnsupportedMediaType(request.content_type)
        post = self._body(request, form=form)
        if reader.is_ping(post):
            return Response({"taken": 0})
        if not reader.verifies:
            raise errors.NotHere(NOT_HERE)
        if len(post.body) <= self.body_limit:
            try:
                reader.verify(post)
            except Unverified as error:
                raise errors.Unverified("The signature does not verify with the account's secret.") from error
            throttling.take_request(request._request, None, weight=0)
        if parser is not None and not form:
            # The checks for every body of the API, its size first.
            parser.parse(io.BytesIO(post.body), request.content_type, {"view": self})
        elif len(post.body) > self.body_limit:
            raise errors.PayloadTooLarge(f"The body is larger than {self.body_limit} bytes.")
        try:
            tracked, unread = reader.read(post)
        except NotTracking as error:
            raise errors.NotTracking("Set this URL for tracking events, not for inbound mail.") from error
        taken = tracking_events.record(provider, tracked)
        if unread:
            unread_events.keep(provider, post, unread, identified_by=reader.identified_by)
            message = f"{len(unread)} of these events have an unknown shape and were kept for the operators."
            raise errors.EventsUnread(message, headers={"Retry-After": "3600"})
        return Response({"taken": taken})

    def _body(self, request: Request, *, form: bool) -> Post:
        """The raw body, which is what is signed, read up to one octet past its limit."""
        stream: Any = request.stream
        octets = stream.read(self.body_limit + 1) if stream is not None else b""
        # Behind a proxy the request may name another host than the one that the provider was given.
        base = settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}"
        return Post(request.META, octets, form=form, url=f"{base}{request.get_full_path()}")
