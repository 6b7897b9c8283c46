"""The password reset API: request a link, and set the new password with the link's code."""

import time
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.notifications.errors import ResetsUnavailable
from apps.notifications.password_reset import email, links
from apps.users.api.serializers.accounts import ResetSerializer, check_password
from apps.users.api.views.sessions import OpenView, attempts
from notifier.lib.fields.validation import LineField, StrictSerializer, TextField

AT_LEAST_SECONDS = 0.2
"""How long an answer takes at least, so that its time does not reveal which addresses are known."""


class ResetAnswerSerializer(serializers.Serializer[Any]):
    expires_in = serializers.IntegerField(help_text="Seconds until the link expires, if one is sent.")


class ResetConfirmationSerializer(StrictSerializer):
    code = LineField(max_length=200, help_text="The last part of the link's path.")
    new_password = TextField(max_length=1024)


@attempts("reset", "5/m")
class PasswordResetView(OpenView):
    """Mail a link that sets a new password. The answer is the same whether a user has this address or not."""

    @extend_schema(request=ResetSerializer, responses={202: ResetAnswerSerializer})
    def post(self, request: Request) -> Response:
        began = time.monotonic()
        serializer = ResetSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        if not settings.PUBLIC_URL:
            raise ResetsUnavailable("Passwords can't be reset by mail here: PUBLIC_URL is not set.")
        for user in links.candidates(**serializer.validated_data):
            email.send(user, correlation_id=request._request.correlation_id)  # type: ignore[attr-defined]
        time.sleep(max(0.0, AT_LEAST_SECONDS - (time.monotonic() - began)))
        return Response({"expires_in": settings.PASSWORD_RESET_TIMEOUT}, status.HTTP_202_ACCEPTED)


@attempts("reset-confirm", "10/m")
class ResetConfirmationView(OpenView):
    """Set a new password with the code of a reset's link. It works once, and revokes every token issued before."""

    @extend_schema(request=ResetConfirmationSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        serializer = ResetConfirmationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        code, password = serializer.validated_data["code"], serializer.validated_data["new_password"]
        if (user := links.read(code)) is not None:
            check_password("new_password", password, user)
            user = links.finish(code, password)
        if user is None:
            raise ValidationError(
                {"code": "This code does not work, or not any more; ask for another reset."},
                code="invalid_code",
            )
        return Response(status=status.HTTP_204_NO_CONTENT)
