"""One's own account: made, looked at, given a new password."""

from django.conf import settings
from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied, Throttled, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.users import guesses, resets, throttling
from apps.users.account_serializers import (
    MeSerializer,
    PasswordSerializer,
    RegisterSerializer,
    ResetConfirmationSerializer,
    check_password,
)
from apps.users.models import Organization, User
from apps.users.parameters import KnownParameters
from apps.users.permissions import IsPerson, person_of
from apps.users.session_views import OpenView, attempts


class RegistrationClosed(PermissionDenied):
    default_code = "registration_closed"
    default_detail = "Nobody makes an account of their own here; ask an administrator for one."


@attempts("register", "10/m")
class RegisterView(OpenView):
    """Make an account in the default organization, where the installation allows it.

    An address that has an account is a 400 (`unique`), which tells whoever asks that it has; attempts are few
    a minute for that reason too.
    """

    @extend_schema(request=RegisterSerializer, responses={201: MeSerializer})
    def post(self, request: Request) -> Response:
        if not settings.ALLOW_REGISTRATION:
            raise RegistrationClosed
        organization = Organization.objects.default()
        asked = RegisterSerializer(data=request.data, context={"organization": organization})
        asked.is_valid(raise_exception=True)
        user = User.objects.create_user(organization=organization, **asked.validated_data)
        return Response(MeSerializer(user).data, status.HTTP_201_CREATED)


class MeView(APIView):
    """Who is signed in, and what they may do."""

    permission_classes = (IsPerson, KnownParameters)

    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        return Response(MeSerializer(person_of(request)).data)


@attempts("password", "10/m")
class PasswordView(APIView):
    """Change one's own password. Every token given out before dies with the old one."""

    permission_classes = (IsPerson, KnownParameters)

    @extend_schema(request=PasswordSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        left = guesses.standing(person_of(request).email)
        if left.remaining < 1:
            raise Throttled(throttling.seconds(left))
        # Locked: of two at once the second sees that its old password is old.
        with transaction.atomic():
            user = User.objects.select_for_update().get(pk=person_of(request).pk)
            asked = PasswordSerializer(data=request.data, context={"user": user})
            asked.is_valid(raise_exception=True)
            user.set_password(asked.validated_data["new_password"])
            user.save(update_fields=["password", "updated_at"])
        return Response(status=status.HTTP_204_NO_CONTENT)


@attempts("reset-confirm", "10/m")
class ResetConfirmationView(OpenView):
    """Set a new password by the code of a reset's link. It works once; every token given out before dies."""

    @extend_schema(request=ResetConfirmationSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        asked = ResetConfirmationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        code, password = asked.validated_data["code"], asked.validated_data["new_password"]
        if (user := resets.read(code)) is not None:
            check_password("new_password", password, user)
            user = resets.finish(code, password)
        if user is None:
            raise ValidationError(
                {"code": "This code does not work, or not any more; ask for another reset."},
                code="invalid_code",
            )
        return Response(status=status.HTTP_204_NO_CONTENT)
