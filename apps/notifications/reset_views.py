"""A reset of a forgotten password, asked for over HTTP."""

import time

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.notifications import password_resets
from apps.notifications.errors import ResetsUnavailable
from apps.users import resets
from apps.users.account_serializers import ResetAnswerSerializer, ResetSerializer
from apps.users.session_views import OpenView, attempts

AT_LEAST_SECONDS = 0.2
"""How long an answer takes, so that its time does not tell which addresses are known."""


@attempts("reset", "5/m")
class PasswordResetView(OpenView):
    """Mail a link that sets a new password. The answer is the same whether anybody has this address or not."""

    @extend_schema(request=ResetSerializer, responses={202: ResetAnswerSerializer})
    def post(self, request: Request) -> Response:
        began = time.monotonic()
        asked = ResetSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        if not settings.PUBLIC_URL:
            raise ResetsUnavailable("Passwords can't be reset by mail here: PUBLIC_URL is not set.")
        for user in resets.candidates(**asked.validated_data):
            password_resets.send(user, correlation_id=request._request.correlation_id)  # type: ignore[attr-defined]
        time.sleep(max(0.0, AT_LEAST_SECONDS - (time.monotonic() - began)))
        return Response({"expires_in": settings.PASSWORD_RESET_TIMEOUT}, status.HTTP_202_ACCEPTED)
