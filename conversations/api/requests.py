"""Bodies of requests about conversations. Each field is validated, and its error says what was expected."""

from typing import Any

from conversations.api.fields import LabelField, PoolField, ReferenceField, optional_choice
from conversations.lifecycle.request import ConversationSpec, ParticipantSpec
from conversations.models import LateMessagePolicy
from conversations.models.conversation import MAX_PARTICIPANTS
from numbers.assignment.policy import AssignmentPolicy, ExhaustionPolicy, Geography, Stickiness, policy_of
from smsproxy.api.fields import BooleanField, BoundedListField, E164Field, IntegerField, StrictSerializer
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


_LATER_OPTIONS = ("idle_ttl", "pool", "geography", "stickiness", "on_exhausted", "late_messages")


class NewConversationSerializer(StrictSerializer):
    participants = BoundedListField(child=PersonSerializer(), min_length=2, max_length=MAX_PARTICIPANTS)
    reference = ReferenceField(max_length=100, required=False, allow_blank=True, default="")
    ttl = IntegerField(
        min_value=60, max_value=MAX_TTL, required=False, allow_null=True, default=None, help_text="Seconds."
    )
    idle_ttl = IntegerField(
        min_value=60, max_value=MAX_TTL, required=False, allow_null=True, default=None, help_text="Seconds."
    )
    notify = BooleanField(required=False, default=True)
    pool = PoolField(required=False, allow_null=True, default=None)
    geography = optional_choice(Geography)
    stickiness = optional_choice(Stickiness)
    on_exhausted = optional_choice(ExhaustionPolicy)
    late_messages = optional_choice(LateMessagePolicy)

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


class ClosingSerializer(StrictSerializer):
    permanent = BooleanField(required=False, default=False)
