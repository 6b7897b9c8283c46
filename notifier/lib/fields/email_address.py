"""Email addresses as model and form fields, in the canonical spelling of `notifier.lib.email_addresses`."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

from notifier.lib.email_addresses import InvalidAddress, spelled, tidied

if TYPE_CHECKING:
    # The stubs' class is generic; Django's own is not.
    EmailField = models.EmailField[str, str]
else:
    EmailField = models.EmailField


class AddressFormField(forms.CharField):
    """A text input: browsers' email inputs refuse addresses with letters beyond ASCII."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"empty_value": "", **options})

    def clean(self, value: Any) -> Any:
        return self._read(super().clean(value))

    def _read(self, address: str) -> str:
        if not address:
            return address
        try:
            return spelled(address)
        except InvalidAddress as error:
            raise ValidationError(str(error), code="invalid") from error


class AddressColumn(EmailField):
    """Stores the address in its canonical spelling, whatever code saves the row."""

    # Django's own validator would refuse some addresses; `clean` validates.
    default_validators = []

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        address = super().clean(value, model_instance)
        try:
            return spelled(address) if address else address
        except InvalidAddress as error:
            raise ValidationError(str(error), code="invalid") from error

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        address = tidied(str(super().pre_save(model_instance, add)))
        setattr(model_instance, self.attname, address)
        return address

    def formfield(self, **options: Any) -> Any:
        return models.Field.formfield(
            self, **{"form_class": AddressFormField, "max_length": self.max_length, **options}
        )

    def deconstruct(self) -> Any:
        # In migrations it stays Django's own field: the database's column is the same.
        name, _, arguments, options = super().deconstruct()
        return name, "django.db.models.EmailField", arguments, options
