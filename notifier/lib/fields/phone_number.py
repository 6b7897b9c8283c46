"""Phone numbers as model and form fields, in E.164."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

from notifier.lib.phone_numbers import NUMBER_LIMIT, comparable, spelled

if TYPE_CHECKING:
    # The stubs' class is generic; Django's own is not.
    CharField = models.CharField[str, str]
else:
    CharField = models.CharField


class PhoneFormField(forms.CharField):
    widget = forms.TextInput(attrs={"type": "tel"})

    def clean(self, value: Any) -> Any:
        return _read(super().clean(value))


def _read(number: Any) -> Any:
    try:
        return spelled(str(number)) if number else number
    except ValueError as error:
        raise ValidationError(str(error), code="invalid") from error


class PhoneColumn(CharField):
    """Stores the number in E.164, whatever code saves the row."""

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        return super().clean(_read(value), model_instance)

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        number = comparable(str(super().pre_save(model_instance, add)))
        setattr(model_instance, self.attname, number)
        return number

    def formfield(self, **options: Any) -> Any:
        return models.Field.formfield(
            self, **{"form_class": PhoneFormField, "max_length": NUMBER_LIMIT, **options}
        )

    def deconstruct(self) -> Any:
        # In migrations it stays Django's own field: the database's column is the same.
        name, _, arguments, options = super().deconstruct()
        return name, "django.db.models.CharField", arguments, options
