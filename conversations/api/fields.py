"""Fields of the API that know conversations and pools. Their errors say what was expected."""

from enum import Enum
from typing import Any

from rest_framework import serializers

from conversations.trust.labels import LabelNotAllowed, check_label, has_control_character
from numbers.models import Pool
from smsproxy import values
from smsproxy.api.fields import ChoiceField, TextField
from smsproxy.crypto import Unreadable


class LabelField(TextField):
    """The name that other participants see instead of a number."""

    def to_internal_value(self, data: Any) -> str:
        label = super().to_internal_value(data)
        try:
            check_label(label)
        except LabelNotAllowed as error:
            raise serializers.ValidationError(values.sentence(error), code=error.code) from None
        return label


class ReferenceField(TextField):
    """The marketplace's own name for a conversation. Staff see it in lists."""

    def to_internal_value(self, data: Any) -> str:
        reference = super().to_internal_value(data)
        if has_control_character(reference):
            raise serializers.ValidationError(
                "Expected one line without control or invisible characters.", code="control_character"
            )
        return reference


class PoolField(TextField):
    """The name of an existing pool. Returns the pool."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return Pool.objects.named(super().to_internal_value(data))
        except values.InvalidValue as error:
            raise serializers.ValidationError(f"Expected {error.expected}.", code="no_pool") from None


def optional_choice(kind: type[Enum]) -> ChoiceField:
    """Return a field for one of these values. Null means the default from the settings."""
    return ChoiceField([each.value for each in kind], required=False, allow_null=True, default=None)


class RealNumberField(serializers.CharField):
    """A person's number; null if it cannot be decrypted."""

    def to_representation(self, value: str) -> Any:
        return None if isinstance(value, Unreadable) else value
