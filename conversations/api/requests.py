"""Bodies of requests about conversations. Each field is validated, and its error says what was expected."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from conversations.api.fields import LabelField, PoolField, ReferenceField, optional_choice
from conversations.lifecycle.request import ConversationSpec, ParticipantSpec
from conversations.models import LateMessagePolicy
from conversations.models.conversation import MAX_PARTICIPANTS
from numbers.assignment.policy import AssignmentPolicy, ExhaustionPolicy, Geography, Stickiness, policy_of
from smsproxy.api.fields import BoundedListField, E164Field, StrictSerializer
from smsproxy.phone import canonical

MAX_TTL = 366 * 24 * 3600


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
    side = LabelField(
        max_length=40,
        required=False,
        allow_blank=True,
        default="",
        help_text="The person's team. Its members share one virtual number.",
    )
    one_way = serializers.BooleanField(
        required=False, default=False, help_text="The person receives messages, and their own are not passed on."
    )

    def spec(self) -> ParticipantSpec:
        return participant_spec(self.validated_data)


def participant_spec(data: Mapping[str, Any]) -> ParticipantSpec:
    """Return the participant that this validated body of a PersonSerializer asks for."""
    return ParticipantSpec(
        number=data["number"],
        label=data["label"],
        proxy_number=data["proxy_number"] or "",
        side=data["side"],
        one_way=data["one_way"],
    )


class NewParticipantSerializer(PersonSerializer):
    notify = serializers.BooleanField(required=False, default=True, help_text="Send this person the confirmation.")

    def asked(self) -> dict[str, Any]:
        """Return the normalised request, for comparing a retry with the original."""
        return {**self.validated_data, "number": canonical(self.validated_data["number"])}


class ParticipantChangesSerializer(StrictSerializer):
    number = E164Field(required=False, help_text="The person's new phone.")
    label = LabelField(  # type: ignore[assignment]  # as above
        max_length=40, required=False, allow_blank=True
    )
    one_way = serializers.BooleanField(required=False)
    notify = serializers.BooleanField(required=False, default=True, help_text="Send the new phone the confirmation.")


_LATER_OF_PERSON = ("proxy_number", "side", "one_way")
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
    geography = optional_choice(Geography)
    stickiness = optional_choice(Stickiness)
    on_exhausted = optional_choice(ExhaustionPolicy)
    late_messages = optional_choice(LateMessagePolicy)

    def people(self) -> list[ParticipantSpec]:
        return [participant_spec(person) for person in self.validated_data["participants"]]

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
            {name: value for name, value in person.items() if name not in _LATER_OF_PERSON or value}
            | {"number": canonical(person["number"])}
            for person in data["participants"]
        ]
        used = {name: value for name, value in data.items() if name not in _LATER_OPTIONS or value is not None}
        return used | {"participants": people} | ({"pool": data["pool"].name} if data["pool"] else {})


class NoOptionsSerializer(StrictSerializer):
    """The body of a request that takes no options."""


class ClosingSerializer(StrictSerializer):
    permanent = serializers.BooleanField(required=False, default=False)
