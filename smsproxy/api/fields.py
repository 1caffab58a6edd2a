"""Fields and serializers that validate API requests strictly. Errors say what was expected."""

from collections.abc import Iterable
from typing import Any

from rest_framework import serializers

from smsproxy.phone import NotE164, parse_e164
from smsproxy.values import sentence

MAX_UNKNOWN_FIELDS = 5  # that one response names


class StrictSerializer(serializers.Serializer):
    """Rejects unknown fields. A misspelt «ttl» would otherwise be ignored silently."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(str(key) for key in set(data) - set(self.fields))):
            known = ", ".join(self.fields) or "none"
            told = unknown[:MAX_UNKNOWN_FIELDS]
            raise serializers.ValidationError({key: [f"Unknown field. Known fields: {known}."] for key in told})
        return super().to_internal_value(data)


class TextField(serializers.CharField):
    """A string. Other JSON types are rejected, not converted."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError(f"Expected a string, found {type(data).__name__}.", code="not_a_string")
        return super().to_internal_value(data)


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

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        found: list[Any] = super().to_internal_value(data)
        return found


class ChoiceField(serializers.ChoiceField):
    """A choice whose error does not repeat what was found, which may be of any length and invalid Unicode."""

    def __init__(self, choices: Iterable[str], **kwargs: Any) -> None:
        values = list(choices)
        told: dict[str, Any] = {"invalid_choice": f"Expected one of {', '.join(values)}."}
        super().__init__(choices=values, error_messages=told, **kwargs)
