"""Endpoints of sessions: sign in, renew, sign out."""

from typing import Any

from django.contrib.auth import authenticate
from django.utils.decorators import method_decorator
from django_ratelimit.decorators import ratelimit
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.users.access import failed_sign_ins, sessions, throttling
from apps.users.api.serializers.accounts import LoginSerializer, RefreshSerializer, TokenPairSerializer
from apps.users.models import User
from apps.users.models.scopes import Role


def attempts(name: str, rate: str) -> Any:
    """Limits a view's POSTs by network address; views of one `name` share the limit."""
    return method_decorator(
        ratelimit(group=name, key="ip", rate=rate, method="POST", block=True), name="post"
    )


class OpenView(APIView):
    """A view without authentication: its body is the credential."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get_authenticate_header(self, request: Request) -> str:
        # Without a scheme to name, DRF would make a wrong password a 403.
        return 'Bearer realm="api"'


@attempts("login", "20/m")
class LoginView(OpenView):
    """Exchange an address and password for a pair of JWTs."""

    def admits(self, user: User) -> bool:
        return True

    @extend_schema(request=LoginSerializer, responses=TokenPairSerializer)
    def post(self, request: Request) -> Response:
        serializer = LoginSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        left = failed_sign_ins.standing(serializer.validated_data["email"])
        if left.remaining < 1:
            raise Throttled(throttling.seconds(left))
        user = authenticate(request, **serializer.validated_data)
        if not isinstance(user, User) or not self.admits(user):
            raise AuthenticationFailed(
                "No active account has this address and password.", "invalid_credentials"
            )
        return Response(sessions.begin(user))


class AdminLoginView(LoginView):
    """The same for operators; a member gets the response of a wrong password."""

    def admits(self, user: User) -> bool:
        return user.role != Role.MEMBER


@attempts("refresh", "60/m")
class RefreshView(OpenView):
    """Exchange a refresh token for a new pair. Each refresh token works once."""

    @extend_schema(request=RefreshSerializer, responses=TokenPairSerializer)
    def post(self, request: Request) -> Response:
        serializer = RefreshSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response(sessions.renew(serializer.validated_data["refresh"]))


@attempts("logout", "60/m")
class LogoutView(OpenView):
    """End a session: its refresh token is revoked at once, its access token expires within minutes."""

    @extend_schema(request=RefreshSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        serializer = RefreshSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        sessions.end(serializer.validated_data["refresh"])
        return Response(status=status.HTTP_204_NO_CONTENT)
