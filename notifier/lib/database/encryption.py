"""Columns that are unreadable without ENCRYPTION_KEYS: a copy of the database alone does not reveal the messages.

Fernet (AES-128-CBC with HMAC-SHA256) by the cryptography package. The first key encrypts and all of them decrypt:
put a new key before the old one, and remove the old one when `manage.py reencrypt` is done.
"""

import base64
import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldError
from django.db import models

if TYPE_CHECKING:
    # The stubs' class is generic; Django's own is not.
    TextField = models.TextField[Any, Any]
else:
    TextField = models.TextField


class Undecryptable(Exception):
    """None of the keys decrypts a stored value."""

    def __init__(self, column: str) -> None:
        super().__init__(f"{column} fits none of ENCRYPTION_KEYS: a key that was used is missing from it.")


@lru_cache(maxsize=8)
def _fernets(keys: tuple[str, ...]) -> list[Fernet]:
    return [Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys]


def _all() -> MultiFernet:
    return MultiFernet(_fernets(tuple(settings.ENCRYPTION_KEYS)))


class EncryptedTextField(TextField):
    """Text that is encrypted in its column; "" stays "". It can't be searched: keep a hash beside it."""

    if TYPE_CHECKING:
        _pyi_private_set_type: Any
        _pyi_private_get_type: str

    def get_prep_value(self, value: Any) -> Any:
        text = super().get_prep_value(value)
        return _all().encrypt(text.encode()).decode() if text else text

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        if not value:
            return value
        try:
            return _all().decrypt(value).decode()
        except InvalidToken as error:
            raise Undecryptable(f"{self.model._meta.db_table}.{self.column}") from error

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name != "isnull":
            raise FieldError(f"{self.name} is encrypted: it can't be looked up by its value.")
        return super().get_lookup(lookup_name)

    def reencrypted(self, stored: str) -> str | None:
        """The column's stored text, encrypted with the first key; None where it is already. Raises Undecryptable."""
        first = _fernets(tuple(settings.ENCRYPTION_KEYS))[0]
        try:
            first.decrypt(stored)
        except InvalidToken:
            try:
                return _all().rotate(stored).decode()
            except InvalidToken as error:
                raise Undecryptable(f"{self.model._meta.db_table}.{self.column}") from error
        return None


class EncryptedJSONField(EncryptedTextField):
    """A JSON value that is encrypted in its column."""

    if TYPE_CHECKING:
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

    def get_prep_value(self, value: Any) -> Any:
        return super().get_prep_value(json.dumps(value, separators=(",", ":"), ensure_ascii=False))

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        # None comes from an outer join.
        return None if value is None else json.loads(super().from_db_value(value, expression, connection))


def encrypted_columns() -> list[EncryptedTextField]:
    return [
        field
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, EncryptedTextField)
    ]
