"""Fields of the API that know conversations and pools. Their errors say what was expected."""

import json
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from django.utils.dateparse import parse_datetime
from rest_framework import serializers

from conversations.trust.labels import LabelNotAllowed, check_label, has_control_character
from numbers.models import Pool
from smsproxy import values
from smsproxy.api.fields import ChoiceField, TextField
from smsproxy.crypto import Unreadable
from smsproxy.services.texts import OWN_KINDS, check_language, check_template

METADATA_BYTES = 4096
_METADATA_DEPTH = 20


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


class SecondsField(serializers.Field[int, int, int, Any]):
    """A whole number of seconds from min_value to max_value. also: a further number that has a meaning of its own."""

    def __init__(self, *, min_value: int, max_value: int, also: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.min_value, self.max_value, self.also = min_value, max_value, also

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            raise serializers.ValidationError("Expected a whole number of seconds.", code="not_an_integer")
        if data == self.also or self.min_value <= data <= self.max_value:
            return data
        special = "" if self.also is None else f"{self.also}, or "
        raise serializers.ValidationError(
            f"Expected {special}{self.min_value} to {self.max_value} seconds.",
            code="min_value" if data < self.min_value else "max_value",
        )

    def to_representation(self, value: int) -> int:
        return value


class EndField(TextField):
    """A moment with its offset from UTC, such as 2030-01-31T18:00:00Z. Returns it in UTC."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            at = parse_datetime(super().to_internal_value(data))
            if isinstance(at, datetime) and at.tzinfo is not None:
                return at.astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # No such day, or a year outside of the calendar.
        raise serializers.ValidationError(
            "Expected a time with its offset in ISO 8601, such as 2030-01-31T18:00:00Z.", code="not_a_time"
        )


class LanguageField(TextField):
    """A language of BCP 47, such as pt-BR. Returns it in its usual spelling."""

    def to_internal_value(self, data: Any) -> str:
        language = super().to_internal_value(data)
        try:
            return check_language(language) if language else ""
        except values.InvalidValue as error:
            raise serializers.ValidationError(f"Expected {error.expected}.", code="no_language") from None


class TextsField(serializers.Field[dict[str, str], Any, Any, Any]):
    """Texts of a conversation's own: an object from the kind of a text to the text."""

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Expected an object.", code="not_an_object")
        errors = {}
        texts = {}
        for kind, text in data.items():
            try:
                texts[kind] = self._text(kind, text)
            except serializers.ValidationError as error:
                errors[kind] = error.detail
        if errors:
            raise serializers.ValidationError(errors)
        return texts

    def to_representation(self, value: Any) -> Any:
        return value

    def _text(self, kind: str, text: Any) -> str:
        if kind not in OWN_KINDS:
            raise serializers.ValidationError(f"Expected one of {', '.join(OWN_KINDS)}.", code="unknown_text")
        if not isinstance(text, str):
            raise serializers.ValidationError("Expected a string.", code="not_a_string")
        try:
            return check_template(next(each for each in OWN_KINDS if each == kind), text)
        except values.InvalidValue as error:
            raise serializers.ValidationError(f"Expected {error.expected}.", code="text_not_valid") from None


class MetadataField(serializers.Field[str, Any, Any, Any]):
    """An object of the marketplace, at most METADATA_BYTES as JSON. Returns the JSON, which is shown as it is."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Expected an object.", code="not_an_object")
        if _depth(data) > _METADATA_DEPTH:
            raise serializers.ValidationError(f"Expected at most {_METADATA_DEPTH} levels.", code="too_deep")
        try:
            encoded = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            size = len(encoded.encode())
        except ValueError:  # An infinite number such as 1e999, or half of a surrogate pair.
            raise serializers.ValidationError(
                "Expected numbers and characters that can be stored.", code="cannot_be_stored"
            ) from None
        if size > METADATA_BYTES:
            raise serializers.ValidationError(
                f"Expected at most {METADATA_BYTES} bytes of JSON, found {size}.", code="too_large"
            )
        return encoded

    def to_representation(self, value: str) -> Any:
        """Return the object. An empty string is an object without members; null if it cannot be decrypted."""
        if isinstance(value, Unreadable):
            return None
        return json.loads(value) if value else {}


def _depth(data: Any) -> int:
    """Return how many objects and lists are nested in each other, at most one more than is allowed."""
    deepest, level = 0, [data]
    while level and deepest <= _METADATA_DEPTH:
        containers = [each for each in level if isinstance(each, dict | list)]
        deepest += bool(containers)
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
    return deepest


def optional_choice(kind: type[Enum]) -> ChoiceField:
    """Return a field for one of these values. Null means the default from the settings."""
    return ChoiceField([each.value for each in kind], required=False, allow_null=True, default=None)


class RealNumberField(serializers.CharField):
    """A person's number; null if it cannot be decrypted."""

    def to_representation(self, value: str) -> Any:
        return None if isinstance(value, Unreadable) else value
