"""Fields and serializers that validate API requests strictly. Errors say what was expected.

smsproxy/api/field_codes.py has the code of each error.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from smsproxy.logs import redact
from smsproxy.phone import NotE164, parse_e164
from smsproxy.values import sentence

MAX_UNKNOWN_FIELDS = 5  # that one response names
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.]\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_BOUNDS: dict[str, Any] = {"max_value": "Expected at most {max_value}.", "min_value": "Expected at least {min_value}."}
_INTEGER = re.compile(r"-?\d{1,15}", re.ASCII)


def json_type(value: Any) -> str:
    """Return JSON's name of the value's type, with its article."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names: list[tuple[type | tuple[type, ...], str]] = [
        (str, "a string"),
        (int, "a whole number"),
        (float, "a number"),
        (list, "a list"),
        (Mapping, "an object"),
    ]
    return next((name for kind, name in names if isinstance(value, kind)), "another type")


class StrictSerializer(serializers.Serializer):
    """Rejects unknown fields. A misspelt «ttl» would otherwise be ignored silently."""

    unknown = ErrorDetail("Unknown field. Known fields: {known}.", code="unknown_field")

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            wrong = ErrorDetail(f"Expected an object, found {json_type(data)}.", code="not_an_object")
            raise serializers.ValidationError({"non_field_errors": [wrong]})
        errors = self._unknown(data)
        try:
            found = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not isinstance(error.detail, dict):
                raise
            errors |= error.detail
        if errors:
            raise serializers.ValidationError(errors)
        return found

    def _unknown(self, data: Mapping[Any, Any]) -> dict[str, Any]:
        names = sorted(redact(str(key)) for key in set(data) - set(self.fields))
        detail = self.unknown.format(known=", ".join(self.fields) or "none")
        return {name: [ErrorDetail(detail, code=self.unknown.code)] for name in names[:MAX_UNKNOWN_FIELDS]}


class NoOptionsSerializer(StrictSerializer):
    """The body of a request that takes no options."""


class ParameterError(serializers.ValidationError):
    """One or more query parameters are wrong. The problem names them as parameters, not by pointer."""


class Parameters(StrictSerializer):
    """The query parameters of an operation. Each may be given once."""

    unknown = ErrorDetail("Unknown parameter. Known parameters: {known}.", code="unknown_parameter")

    def is_valid(self, *, raise_exception: bool = False) -> bool:
        """Raises ParameterError."""
        try:
            return super().is_valid(raise_exception=raise_exception)
        except serializers.ValidationError as error:
            raise ParameterError(error.detail) from None

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, QueryDict):
            repeated = [name for name, values in data.lists() if name in self.fields and len(values) > 1]
            if repeated:
                twice = ErrorDetail("Expected this parameter once.", code="repeated")
                raise serializers.ValidationError({name: [twice] for name in repeated})
            data = data.dict()  # DRF would take an empty value in a QueryDict for a missing one.
        return super().to_internal_value(data)


class NoParameters(Parameters):
    """The query of an operation that takes no parameters."""


class TextField(serializers.CharField):
    """A string. Other JSON types are rejected, not converted."""

    default_error_messages: ClassVar[dict[str, Any]] = {"max_length": "Expected at most {max_length} characters."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError(f"Expected a string, found {json_type(data)}.", code="not_a_string")
        return super().to_internal_value(data)


class IntegerField(serializers.IntegerField):
    """A JSON number without a fraction. A string, such as "60", is rejected."""

    default_error_messages: ClassVar[dict[str, Any]] = _BOUNDS

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            raise serializers.ValidationError(
                f"Expected a whole number, found {json_type(data)}.", code="not_an_integer"
            )
        return data


class IntegerParameter(serializers.IntegerField):
    """A whole number in a query, in digits."""

    default_error_messages: ClassVar[dict[str, Any]] = _BOUNDS

    def to_internal_value(self, data: Any) -> int:
        if not _INTEGER.fullmatch(str(data)):
            raise serializers.ValidationError("Expected a whole number.", code="not_an_integer")
        return int(data)


class BooleanField(serializers.BooleanField):
    """JSON's true or false. A string or a number is rejected."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError(f"Expected true or false, found {json_type(data)}.", code="not_a_boolean")
        return data


class DateTimeField(serializers.DateTimeField):
    """A time in ISO 8601 with its offset from UTC, such as 2026-11-28T22:00:00Z."""

    def to_internal_value(self, data: Any) -> datetime:
        text = data if isinstance(data, str) else ""
        try:
            if _TIME.fullmatch(text):
                return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # Such as the 30th of February.
        raise serializers.ValidationError(
            "Expected a time in ISO 8601 with its offset, such as 2026-11-28T22:00:00Z. In a URL, encode “+” as %2B.",
            code="not_a_time",
        )


class E164Field(TextField):
    """A phone number in E.164. The error does not repeat what was found."""

    def __init__(self, **kwargs: Any) -> None:
        # Trimming would also remove control characters, which no number contains.
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if data == "" and self.allow_blank:
            return ""
        try:
            return parse_e164(super().to_internal_value(data))
        except NotE164 as error:
            raise serializers.ValidationError(sentence(error), code="not_e164") from None


class BoundedListField(serializers.ListField):
    """A list whose entries are not validated if it is too long, because each would be looked up."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "max_length": "Expected a list of at most {max_length}.",
        "min_length": "Expected a list of at least {min_length}.",
    }

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            raise serializers.ValidationError(f"Expected a list, found {json_type(data)}.", code="not_a_list")
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        found: list[Any] = super().to_internal_value(data)
        return found


class ChoiceField(serializers.ChoiceField):
    """A choice whose error does not repeat what was found, which may be of any length and invalid Unicode."""

    def __init__(self, choices: Iterable[str], **kwargs: Any) -> None:
        values = list(choices)
        told: dict[str, Any] = {"invalid_choice": f"Expected one of {', '.join(values)}."}
        super().__init__(choices=values, error_messages=told, **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice", input="")
        return super().to_internal_value(data)
