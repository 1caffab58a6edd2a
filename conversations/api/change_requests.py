"""Bodies of requests that change, close, reopen or extend a conversation."""

from typing import Any, ClassVar

from rest_framework import serializers

from conversations.api.fields import (
    LanguageField,
    MetadataField,
    ReferenceField,
    SecondsField,
    TextsField,
)
from conversations.api.requests import reject_two_ends, wrong_end
from conversations.lifecycle.request import NEVER
from conversations.models import LateMessagePolicy
from conversations.models.conversation_terms import MAX_AHEAD, End, EndHasPassed, EndTooLate, check_fixed_end
from smsproxy.api.fields import BooleanField, ChoiceField, DateTimeField, StrictSerializer
from smsproxy.database.clock import database_now
from smsproxy.phone_spellings import holds_phone_number
from smsproxy.services.models import MAX_TTL

# Reasons of ours for a closing: nobody asked for it.
_OWN_REASONS = ("expired", "idle")


class ClosedReasonField(ReferenceField):
    """Why a conversation is closed. Staff see it in lists, and it is never encrypted."""

    def to_internal_value(self, data: Any) -> str:
        reason = super().to_internal_value(data)
        if holds_phone_number(reason):
            raise serializers.ValidationError(
                "Expected a reason without a phone number: it is stored in the clear.", code="phone_number"
            )
        if reason in _OWN_REASONS:
            raise serializers.ValidationError(
                f"Expected another reason than {' and '.join(_OWN_REASONS)}: these mean that its time was up.",
                code="reserved",
            )
        return reason


class EndSerializer(StrictSerializer):
    """The end of a conversation. Without both fields it stays as it is."""

    ttl = SecondsField(
        least=60,
        most=MAX_TTL,
        also=NEVER,
        required=False,
        allow_null=True,
        help_text="The conversation ends these seconds from now. Null or 0: it has no end.",
    )
    expires_at = DateTimeField(
        required=False,
        allow_null=True,
        help_text=f"A fixed end, in place of a ttl, at most {MAX_AHEAD.days} days from now. Null: it has no end.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        reject_two_ends(attrs)
        if attrs.get("expires_at") is not None:
            try:
                check_fixed_end(attrs["expires_at"], database_now())
            except (EndHasPassed, EndTooLate) as error:
                raise serializers.ValidationError({"expires_at": wrong_end(error)}) from None
        return attrs

    def end(self) -> End | None:
        """Return the new end, or None if the request names none."""
        data = self.validated_data
        if not {"ttl", "expires_at"} & data.keys():
            return None
        return End(ttl=data.get("ttl") or None, expires_at=data.get("expires_at"))


class ReopeningSerializer(EndSerializer):
    """The body of a reopening. Without an end, its ttl starts again, and its fixed end stays."""

    example: ClassVar[dict[str, Any]] = {"ttl": 3600}


class ChangeSerializer(EndSerializer):
    """The body of a change. Only the fields that are named change."""

    idle_ttl = SecondsField(
        least=60,
        most=MAX_TTL,
        required=False,
        allow_null=True,
        help_text="It ends if nobody writes for these seconds, counted from now. Null: it does not.",
    )
    reference = ReferenceField(max_length=100, required=False, allow_blank=True, help_text="Your own name for it.")
    unique_reference = BooleanField(
        required=False, help_text="Whether no other open conversation may have its reference."
    )
    metadata = MetadataField(
        required=False, allow_null=True, help_text="Replaces all of its metadata. Null: it has none."
    )
    late_messages = ChoiceField(
        LateMessagePolicy.values, required=False, help_text="Messages after its end, while the numbers cool down."
    )
    language = LanguageField(
        required=False, allow_null=True, allow_blank=True, help_text="The language of our texts. Null: the service's."
    )
    texts = TextsField(
        required=False, allow_null=True, help_text="Replaces all texts of its own, by kind. Null: it has none."
    )
    example: ClassVar[dict[str, Any]] = {"ttl": 7200, "metadata": {"driver": 7}}

    def values(self) -> dict[str, Any]:
        """Return the new values of the columns, without those of the end."""
        data = {name: value for name, value in self.validated_data.items() if name not in ("ttl", "expires_at")}
        if "unique_reference" in data:
            data["is_reference_unique"] = data.pop("unique_reference")
        empty = {"language": "", "metadata": "", "texts": None}
        return data | {name: data[name] or nothing for name, nothing in empty.items() if name in data}


class ClosingSerializer(StrictSerializer):
    reason = ClosedReasonField(
        max_length=100, required=False, default="closed", help_text="One line without a phone number."
    )
    permanent = BooleanField(required=False, default=False, help_text="Whether no late message reopens it.")
    example: ClassVar[dict[str, Any]] = {"reason": "ride completed", "permanent": True}


class ExtensionSerializer(StrictSerializer):
    seconds = SecondsField(least=1, most=MAX_TTL, help_text="How much later it ends.")
    example: ClassVar[dict[str, Any]] = {"seconds": 3600}
