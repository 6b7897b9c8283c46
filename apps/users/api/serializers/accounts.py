"""Accounts and sessions: request and response fields."""

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from rest_framework import serializers
from rest_framework.fields import get_error_detail

from apps.users.access import failed_sign_ins
from apps.users.api.serializers.users import UserSerializer
from apps.users.models import User
from notifier.lib.fields.validation import (
    AddressField,
    LanguageField,
    LineField,
    StrictSerializer,
    TextField,
    validate_timezone,
)


class ResetSerializer(StrictSerializer):
    email = AddressField()
    organization = LineField(
        max_length=63, required=False, help_text="Its slug, where one address is in several organizations."
    )


class LoginSerializer(ResetSerializer):
    password = TextField(max_length=1024)


class TokenPairSerializer(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()


class RefreshSerializer(StrictSerializer):
    refresh = LineField(max_length=4096)


class RegisterSerializer(StrictSerializer):
    email = AddressField()
    password = TextField(max_length=1024)
    name = LineField(max_length=200, required=False, allow_blank=True)
    language = LanguageField(required=False, allow_blank=True)
    timezone = LineField(max_length=64, required=False, validators=[validate_timezone])

    def validate_email(self, value: str) -> str:
        if User.objects.filter(User.at(value), organization=self.context["organization"]).exists():
            raise serializers.ValidationError("This address has an account already.", code="unique")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        known = {name: value for name, value in attrs.items() if name != "password"}
        check_password("password", attrs["password"], User(**known))
        return attrs


class PasswordSerializer(StrictSerializer):
    old_password = TextField(max_length=1024)
    new_password = TextField(max_length=1024)

    def validate_old_password(self, value: str) -> str:
        if not failed_sign_ins.check_password(self.context["user"], value):
            raise serializers.ValidationError("This is not the present password.", code="wrong_password")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        check_password("new_password", attrs["new_password"], self.context["user"])
        return attrs


def check_password(field: str, password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise serializers.ValidationError({field: get_error_detail(error)}) from error


class MeSerializer(UserSerializer):
    organization = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    scopes = serializers.SerializerMethodField()

    class Meta(UserSerializer.Meta):
        fields = [*UserSerializer.Meta.fields, "organization", "scopes"]

    def get_scopes(self, user: User) -> list[str]:
        return sorted(user.scopes)
