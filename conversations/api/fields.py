"""Fields of the API that know conversations and pools. Their errors say what was expected."""

import json
from enum import Enum
from typing import Any

from rest_framework import serializers

from conversations.trust.labels import LabelNotAllowed, check_label, has_control_character
from numbers.models import Pool
from smsproxy import values
from smsproxy.api.fields import ChoiceField, IntegerField, TextField, json_type
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


class SecondsField(IntegerField):
    """A whole number of seconds from least to most. also: a further number that has a meaning of its own."""

    def __init__(self, *, least: int, most: int, also: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.least, self.most, self.also = least, most, also

    def to_internal_value(self, data: Any) -> int:
        seconds = super().to_internal_value(data)
        if seconds == self.also or self.least <= seconds <= self.most:
            return seconds
        special = "" if self.also is None else f"{self.also}, or "
        raise serializers.ValidationError(
            f"Expected {special}{self.least} to {self.most} seconds.",
            code="min_value" if seconds < self.least else "max_value",
        )


class LanguageField(TextField):
    """A language of BCP 47, such as pt-BR. Returns it in its usual spelling."""

    def to_internal_value(self, data: Any) -> str:
        language = super().to_internal_value(data)
        try:
            return check_language(language) if language else ""
        except values.InvalidValue as error:
            raise serializers.ValidationError(f"Expected {error.expected}.", code="no_language") from None


class TextsField(serializers.DictField):
    """Texts of a conversation's own: an object from the kind of a text to the text."""

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if not isinstance(data, dict):
            raise serializers.ValidationError(f"Expected an object, found {json_type(data)}.", code="not_an_object")
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
            raise serializers.ValidationError(f"Expected a string, found {json_type(text)}.", code="not_a_string")
        try:
            return check_template(next(each for each in OWN_KINDS if each == kind), text)
        except values.InvalidValue as error:
            raise serializers.ValidationError(f"Expected {error.expected}.", code="text_not_valid") from None


class MetadataField(serializers.DictField):
    """An object of the marketplace, at most METADATA_BYTES as JSON. Returns the JSON, which is shown as it is."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError(f"Expected an object, found {json_type(data)}.", code="not_an_object")
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

    def to_representation(self, value: Any) -> Any:
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


def optional_choice(kind: type[Enum], help_text: str) -> ChoiceField:
    """Return a field for one of these values. Null means the default of the service."""
    values = [each.value for each in kind]
    return ChoiceField(values, required=False, allow_null=True, default=None, help_text=help_text)


class RealNumberField(serializers.CharField):
    """A person's number; null if it cannot be decrypted."""

    def to_representation(self, value: str) -> Any:
        return None if isinstance(value, Unreadable) else value
