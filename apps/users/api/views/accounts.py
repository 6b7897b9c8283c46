"""The caller's own account: registration, profile, and a change of password with the old one."""

from django.conf import settings
from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied, Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.users.access import failed_sign_ins, throttling
from apps.users.access.permissions import IsPerson, person_of
from apps.users.api.serializers.accounts import (
    MeSerializer,
    PasswordSerializer,
    RegisterSerializer,
)
from apps.users.api.views.sessions import OpenView, attempts
from apps.users.models import Organization, User
from notifier.lib.fields.query_parameters import KnownParameters


class RegistrationClosed(PermissionDenied):
    default_code = "registration_closed"
    default_detail = "Registration is closed here; ask an administrator for an account."


@attempts("register", "10/m")
class RegisterView(OpenView):
    """Make an account in the default organization, where the installation allows it.

    An address that has an account is a 400 (`unique`), which reveals that it has one; that is one more reason for
    the low limit of attempts a minute.
    """

    @extend_schema(request=RegisterSerializer, responses={201: MeSerializer})
    def post(self, request: Request) -> Response:
        if not settings.ALLOW_REGISTRATION:
            raise RegistrationClosed
        organization = Organization.objects.default()
        serializer = RegisterSerializer(data=request.data, context={"organization": organization})
        serializer.is_valid(raise_exception=True)
        user = User.objects.create_user(organization=organization, **serializer.validated_data)
        return Response(MeSerializer(user).data, status.HTTP_201_CREATED)


class MeView(APIView):
    """Who is signed in, and what they may do."""

    permission_classes = (IsPerson, KnownParameters)

    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        return Response(MeSerializer(person_of(request)).data)


@attempts("password", "10/m")
class PasswordView(APIView):
    """Change one's own password. Every token issued before is revoked with the old one."""

    permission_classes = (IsPerson, KnownParameters)

    @extend_schema(request=PasswordSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        left = failed_sign_ins.standing(person_of(request).email)
        if left.remaining < 1:
            raise Throttled(throttling.seconds(left))
        # Locked: of two changes at once the second finds that its old password is no longer valid.
        with transaction.atomic():
            user = User.objects.select_for_update().get(pk=person_of(request).pk)
            serializer = PasswordSerializer(data=request.data, context={"user": user})
            serializer.is_valid(raise_exception=True)
            user.set_password(serializer.validated_data["new_password"])
            user.save(update_fields=["password", "updated_at"])
        return Response(status=status.HTTP_204_NO_CONTENT)
