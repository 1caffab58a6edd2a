"""Bodies of requests about conversations. Each field is validated, and its error says what was expected."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from conversations.api import examples
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
from conversations.models.conversation_terms import MAX_AHEAD, EndHasPassed, EndTooLate
from numbers.assignment.policy import ExhaustionPolicy, Geography, Stickiness
from smsproxy.api.fields import (
    BooleanField,
    BoundedListField,
    DateTimeField,
    E164Field,
    IntegerField,
    StrictSerializer,
)
from smsproxy.phone import canonical
from smsproxy.services.models import MAX_TTL, Service


class PersonSerializer(StrictSerializer):
    number = E164Field(help_text="The person's real number.")
    label = LabelField(  # type: ignore[assignment]  # DRF has an attribute of that name for its forms
        max_length=40,
        required=False,
        allow_blank=True,
        default="",
        help_text="The name that the others see instead of a number, in texts too. No link, and at most six digits.",
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
    one_way = BooleanField(
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
    notify = BooleanField(required=False, default=True, help_text="Send this person the confirmation.")
    example: ClassVar[dict[str, Any]] = examples.NEW_PARTICIPANT

    def asked(self) -> dict[str, Any]:
        """Return the normalised request, for comparing a retry with the original."""
        return {**self.validated_data, "number": canonical(self.validated_data["number"])}


class ParticipantChangesSerializer(StrictSerializer):
    number = E164Field(required=False, help_text="The person's new phone.")
    label = LabelField(  # type: ignore[assignment]  # as above
        max_length=40, required=False, allow_blank=True, help_text="The name that the others see."
    )
    one_way = BooleanField(required=False, help_text="The person receives messages, and their own are not passed on.")
    notify = BooleanField(required=False, default=True, help_text="Send the new phone the confirmation.")
    example: ClassVar[dict[str, Any]] = {"number": "+447700900006"}


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


_IDLE_TTL = "Seconds without a message after which it ends. Without it, never."


def reject_two_ends(attrs: Mapping[str, Any]) -> None:
    """Raise ValidationError if a request has both a ttl and a fixed end."""
    if attrs.get("ttl") is not None and attrs.get("expires_at") is not None:
        raise serializers.ValidationError(
            {"expires_at": ErrorDetail("Expected ttl or expires_at, not both.", code="ttl_and_expires_at")}
        )


def wrong_end(error: EndHasPassed | EndTooLate) -> ErrorDetail:
    """Return the error of `expires_at`."""
    if isinstance(error, EndHasPassed):
        return ErrorDetail("Expected a time in the future.", code="not_in_future")
    return ErrorDetail(f"Expected a time at most {MAX_AHEAD.days} days from now.", code="end_too_late")


class NewConversationSerializer(StrictSerializer):
    participants = BoundedListField(
        child=PersonSerializer(), min_length=2, max_length=MAX_PARTICIPANTS, help_text="Who may text each other."
    )
    reference = ReferenceField(
        max_length=100, required=False, allow_blank=True, default="", help_text="Your own name for it, in one line."
    )
    unique_reference = BooleanField(
        required=False, default=False, help_text="Reject the request if an open conversation has this reference."
    )
    ttl = SecondsField(
        least=60,
        most=MAX_TTL,
        also=NEVER,
        required=False,
        allow_null=True,
        default=None,
        help_text="Seconds. 0: no end, also in a service whose conversations have one.",
    )
    expires_at = DateTimeField(
        required=False,
        allow_null=True,
        default=None,
        help_text=f"Its fixed end, beside no ttl. At most {MAX_AHEAD.days} days from now.",
    )
    idle_ttl = IntegerField(
        min_value=60, max_value=MAX_TTL, required=False, allow_null=True, default=None, help_text=_IDLE_TTL
    )
    notify = BooleanField(required=False, default=True, help_text="Tell each participant which number to text.")
    pool = PoolField(
        required=False, allow_null=True, default=None, help_text="The pool that supplies the numbers, by name."
    )
    geography = optional_choice(
        Geography,
        "Countries that proxy numbers may come from: the person's own (`same-country`) or rather so (`prefer`).",
    )
    stickiness = optional_choice(
        Stickiness, "Whether the same two people get the numbers that they had with each other, or rather others."
    )
    on_exhausted = optional_choice(
        ExhaustionPolicy,
        "If a person has every number already: reject the request, or end their oldest cool-down early.",
    )
    late_messages = optional_choice(
        LateMessagePolicy, "A text after the end: `end` answers that it has ended, `reopen` reopens the conversation."
    )
    language = LanguageField(
        required=False, allow_null=True, allow_blank=True, default=None, help_text="Of our texts, such as pt-BR."
    )
    texts = TextsField(
        required=False, allow_null=True, default=None, help_text="Our texts for this conversation, by their kind."
    )
    metadata = MetadataField(
        required=False, allow_null=True, default=None, help_text="An object of yours, at most 4096 bytes as JSON."
    )
    on_existing = optional_choice(
        OnExisting, "If exactly these people already talk: create another (`new`), `return` that one, or `reject`."
    )
    example: ClassVar[dict[str, Any]] = examples.NEW_CONVERSATION

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        reject_two_ends(attrs)
        if attrs["unique_reference"] and not attrs["reference"]:
            raise serializers.ValidationError(
                {"reference": ErrorDetail("A unique reference must not be empty.", code="blank")}
            )
        return attrs

    def people(self) -> list[ParticipantSpec]:
        return [participant_spec(person) for person in self.validated_data["participants"]]

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
