"""Bodies of requests about conversations. Each field is validated, and its error says what was expected."""

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from conversations.api.fields import (
    LabelField,
    LanguageField,
    MetadataField,
    PoolField,
    ReferenceField,
    SecondsField,
    TextsField,
    optional_choice,
)
from conversations.lifecycle.request import NEVER, ConversationSpec, OnExisting, ParticipantSpec
from conversations.models import LateMessagePolicy
from conversations.models.conversation import MAX_PARTICIPANTS
from numbers.assignment.policy import ExhaustionPolicy, Geography, Stickiness
from smsproxy.api.fields import BooleanField, BoundedListField, DateTimeField, E164Field, StrictSerializer
from smsproxy.phone import canonical
from smsproxy.services.models import Service

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


# Options that versions after the first one added. A request without them has the fingerprint that it always had.
_LATER_OPTIONS = (
    "idle_ttl",
    "pool",
    "geography",
    "stickiness",
    "on_exhausted",
    "late_messages",
    "expires_at",
    "language",
    "texts",
    "metadata",
    "on_existing",
    "unique_reference",
)
_LATER_OPTIONS_OF_PEOPLE = ("proxy_number", "side", "one_way")


class NewConversationSerializer(StrictSerializer):
    participants = BoundedListField(child=PersonSerializer(), min_length=2, max_length=MAX_PARTICIPANTS)
    reference = ReferenceField(max_length=100, required=False, allow_blank=True, default="")
    unique_reference = BooleanField(required=False, default=False)
    ttl = SecondsField(
        least=60,
        most=MAX_TTL,
        also=NEVER,
        required=False,
        allow_null=True,
        default=None,
        help_text="Seconds. 0: no end, also in a service whose conversations have one.",
    )
    expires_at = DateTimeField(required=False, allow_null=True, default=None, help_text="Its fixed end, beside no ttl.")
    idle_ttl = SecondsField(least=60, most=MAX_TTL, required=False, allow_null=True, default=None, help_text="Seconds.")
    notify = BooleanField(required=False, default=True)
    pool = PoolField(required=False, allow_null=True, default=None)
    geography = optional_choice(Geography)
    stickiness = optional_choice(Stickiness)
    on_exhausted = optional_choice(ExhaustionPolicy)
    late_messages = optional_choice(LateMessagePolicy)
    language = LanguageField(required=False, allow_null=True, allow_blank=True, default=None)
    texts = TextsField(required=False, allow_null=True, default=None)
    metadata = MetadataField(required=False, allow_null=True, default=None)
    on_existing = optional_choice(OnExisting)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["ttl"] is not None and attrs["expires_at"] is not None:
            raise serializers.ValidationError(
                {"expires_at": ErrorDetail("Expected ttl or expires_at, not both.", code="ttl_and_expires_at")}
            )
        if attrs["unique_reference"] and not attrs["reference"]:
            raise serializers.ValidationError(
                {"reference": ErrorDetail("A unique reference must not be empty.", code="blank")}
            )
        return attrs

    def people(self) -> list[ParticipantSpec]:
        people = self.validated_data["participants"]
        return [ParticipantSpec(**person | {"proxy_number": person["proxy_number"] or ""}) for person in people]

    def terms(self, service: Service) -> ConversationSpec:
        """Return the options of the conversation. The service decides what the request leaves open."""
        data = {name: value for name, value in self.validated_data.items() if name != "participants"}
        data |= {name: data[name] or "" for name in ("language", "metadata")}
        return ConversationSpec.of(service, **data | {"on_existing": OnExisting(data["on_existing"] or OnExisting.NEW)})

    def asked(self) -> dict[str, Any]:
        """Return the normalised request, for comparing a retry with the original.

        Unused options that later versions added are left out, because the retry may reach a newer version. Either
        spelling of a phone is the same request.
        """
        data = {**self.validated_data}
        people = [
            {name: value for name, value in person.items() if name not in _LATER_OPTIONS_OF_PEOPLE or value}
            | {"number": canonical(person["number"])}
            for person in data["participants"]
        ]
        used = {name: value for name, value in data.items() if name not in _LATER_OPTIONS or _is_used(value)}
        if data["pool"]:
            used["pool"] = data["pool"].name
        if data["expires_at"]:
            used["expires_at"] = data["expires_at"].isoformat()
        return used | {"participants": people}


def _is_used(value: Any) -> bool:
    return value is not None and value is not False


class NoOptionsSerializer(StrictSerializer):
    """The body of a request that takes no options."""


class ClosingSerializer(StrictSerializer):
    permanent = BooleanField(required=False, default=False)
