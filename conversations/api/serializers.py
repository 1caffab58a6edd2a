"""Serializers of the conversations API. Each field is validated, and its error says what was expected."""

from enum import Enum
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from conversations.lifecycle.request import ConversationSpec, ParticipantSpec
from conversations.models import Conversation, ConversationState, LateMessagePolicy, Participant
from conversations.models.conversation import MAX_PARTICIPANTS
from conversations.trust.labels import LabelNotAllowed, check_label, has_control_character
from numbers.assignment.policy import AssignmentPolicy, ExhaustionPolicy, Geography, Stickiness, policy_of
from numbers.models import Pool
from smsproxy import values
from smsproxy.api.fields import BoundedListField, ChoiceField, E164Field, StrictSerializer, TextField
from smsproxy.crypto import Unreadable
from smsproxy.phone import canonical

MAX_TTL = 366 * 24 * 3600


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


class PersonSerializer(StrictSerializer):
    number = E164Field()
    label = LabelField(  # type: ignore[assignment]  # DRF has an attribute of that name for its forms
        max_length=40, required=False, allow_blank=True, default=""
    )
    proxy_number = E164Field(
        required=False,
        allow_blank=True,
        allow_null=True,
        default="",
        help_text="The virtual number to give this person.",
    )


class PoolField(TextField):
    """The name of an existing pool. Returns the pool."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return Pool.objects.named(super().to_internal_value(data))
        except values.InvalidValue as error:
            raise serializers.ValidationError(f"Expected {error.expected}.", code="no_pool") from None


def _choice(kind: type[Enum]) -> ChoiceField:
    """Return a field for one of these values. Null means the default from the settings."""
    return ChoiceField([each.value for each in kind], required=False, allow_null=True, default=None)


_LATER_OPTIONS = ("idle_ttl", "pool", "geography", "stickiness", "on_exhausted", "late_messages")


class NewConversationSerializer(StrictSerializer):
    participants = BoundedListField(child=PersonSerializer(), min_length=2, max_length=MAX_PARTICIPANTS)
    reference = ReferenceField(max_length=100, required=False, allow_blank=True, default="")
    ttl = serializers.IntegerField(
        min_value=60, max_value=MAX_TTL, required=False, allow_null=True, default=None, help_text="Seconds."
    )
    idle_ttl = serializers.IntegerField(
        min_value=60, max_value=MAX_TTL, required=False, allow_null=True, default=None, help_text="Seconds."
    )
    notify = serializers.BooleanField(required=False, default=True)
    pool = PoolField(required=False, allow_null=True, default=None)
    geography = _choice(Geography)
    stickiness = _choice(Stickiness)
    on_exhausted = _choice(ExhaustionPolicy)
    late_messages = _choice(LateMessagePolicy)

    def people(self) -> list[ParticipantSpec]:
        people = self.validated_data["participants"]
        return [ParticipantSpec(**person | {"proxy_number": person["proxy_number"] or ""}) for person in people]

    def policy(self) -> AssignmentPolicy:
        data = self.validated_data
        return policy_of(
            data["pool"], geography=data["geography"], stickiness=data["stickiness"], on_exhausted=data["on_exhausted"]
        )

    def terms(self) -> ConversationSpec:
        data = self.validated_data
        return ConversationSpec(
            policy=self.policy(),
            late_messages=LateMessagePolicy(data["late_messages"]) if data["late_messages"] else None,
            **{name: data[name] for name in ("reference", "ttl", "idle_ttl", "notify")},
        )

    def asked(self) -> dict[str, Any]:
        """Return the normalised request, for comparing a retry with the original.

        Unused options that later versions added are left out, because the retry may reach a newer version. Either
        spelling of a phone is the same request.
        """
        data = {**self.validated_data}
        people = [
            {name: value for name, value in person.items() if name != "proxy_number" or value}
            | {"number": canonical(person["number"])}
            for person in data["participants"]
        ]
        used = {name: value for name, value in data.items() if name not in _LATER_OPTIONS or value is not None}
        return used | {"participants": people} | ({"pool": data["pool"].name} if data["pool"] else {})


class NoOptionsSerializer(StrictSerializer):
    """The body of a request that takes no options."""


class ClosingSerializer(StrictSerializer):
    permanent = serializers.BooleanField(required=False, default=False)


class RealNumberField(serializers.CharField):
    """A person's number; null if it cannot be decrypted."""

    def to_representation(self, value: str) -> Any:
        return None if isinstance(value, Unreadable) else value


class ParticipantSerializer(serializers.ModelSerializer):
    number = RealNumberField(source="real_number.number")
    country = serializers.CharField(source="real_number.country")
    proxy_number = serializers.CharField(source="proxy_number.number")
    proxy_country = serializers.CharField(source="proxy_number.country")

    class Meta:
        model = Participant
        fields = ["label", "number", "country", "proxy_number", "proxy_country", "chosen_by"]


class ConversationSerializer(serializers.ModelSerializer):
    id = serializers.UUIDField(source="public_id")
    status = serializers.SerializerMethodField()
    participants = ParticipantSerializer(many=True, source="current_participants")
    pool = serializers.CharField(source="pool.name", default=None)
    # A new conversation is not annotated: none of its confirmations has been sent.
    notify_failed = serializers.BooleanField(default=False, read_only=True)

    class Meta:
        model = Conversation
        fields = [
            "id",
            "status",
            "reference",
            "pool",
            "geography",
            "participants",
            "late_messages",
            "created_at",
            "expires_at",
            "idle_ttl",
            "idle_at",
            "closed_at",
            "closed_reason",
            "reopened_at",
            "held_at",
            "notify_failed",
        ]

    def get_status(self, conversation: Conversation) -> str:
        """Return "closed" for an expired conversation too, even before the periodic job has closed it."""
        return ConversationState.OPEN.value if conversation.is_live(timezone.now()) else ConversationState.CLOSED.value
