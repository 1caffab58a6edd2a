"""The schema of each type of event: one table for the OpenAPI schema, which docs/events.md is compared with."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from conversations.api.examples import AT, CONVERSATION_ID
from conversations.api.message_answers import KINDS_MEAN, MESSAGE_KINDS, OUTCOMES, MessageErrorSerializer
from conversations.models import FailureReason, InboundOutcome
from conversations.models.conversation_feed import CHANGED_OF_PARTICIPANTS, CHANGED_TERMS
from smsproxy.api.fields import E164Field
from smsproxy.events.types import EventType
from smsproxy.phone import E164_EXAMPLE

# Texts with these outcomes have no participant, so they are in no conversation.
_WITHOUT_AUTHOR = (InboundOutcome.LOOP, InboundOutcome.UNDECODABLE)
RECEIVED_OUTCOMES = tuple(outcome for outcome in OUTCOMES if outcome not in _WITHOUT_AUTHOR)
UNMATCHED_OUTCOMES = tuple(
    outcome.value
    for outcome in (
        InboundOutcome.NO_ROUTE,
        InboundOutcome.OPTED_OUT,
        InboundOutcome.BLOCKED,
        InboundOutcome.REACTION,
    )
)
FAILURE_CLASSES = tuple(reason.value for reason in FailureReason)

_EVENT_ID = "8e6f0c3d-55a8-4e0e-9d2b-0a6f5f1f7c11"
_MESSAGE_ID = "5f0c7a38-8c0e-5d4b-3a8e-91d5b1a7a0ce"


def _message_id() -> serializers.UUIDField:
    return serializers.UUIDField(help_text="The message's id, the same in all its events and for all its recipients.")


def _position(help_text: str, **kwargs: Any) -> serializers.IntegerField:
    return serializers.IntegerField(help_text=f"{help_text} A position in the conversation.", **kwargs)


class TextDataSerializer(serializers.Serializer):
    """A text of a participant."""

    message_id = _message_id()
    participant = _position("Its author.")

    example: Mapping[str, Any] = {"message_id": _MESSAGE_ID, "participant": 0}


class ReceivedDataSerializer(TextDataSerializer):
    outcome = serializers.ChoiceField(RECEIVED_OUTCOMES, help_text="What happened to the text.")

    example = {**TextDataSerializer.example, "outcome": "relayed"}


class RelayedDataSerializer(TextDataSerializer):
    recipients = serializers.ListField(
        child=serializers.IntegerField(), help_text="Those who get it: positions in the conversation."
    )

    example = {**TextDataSerializer.example, "recipients": [1]}


class StatusDataSerializer(serializers.Serializer):
    """The status of a message for one recipient."""

    message_id = _message_id()
    kind = serializers.ChoiceField(MESSAGE_KINDS, help_text=KINDS_MEAN)
    recipient = _position(
        "Who gets it. Null: the author of a late text, whose numbers went to another conversation.", allow_null=True
    )

    example: Mapping[str, Any] = {"message_id": _MESSAGE_ID, "kind": "text", "recipient": 1}


class EventErrorSerializer(MessageErrorSerializer):
    kind = serializers.ChoiceField(
        FAILURE_CLASSES, source="kind", allow_null=True, help_text="Who or what is at fault. Null if it is not known."
    )


class FailedDataSerializer(StatusDataSerializer):
    error = EventErrorSerializer(help_text="Why it did not arrive.")

    example = {**StatusDataSerializer.example, "error": {"class": "recipient", "code": "6"}}


class CreatedDataSerializer(serializers.Serializer):
    parties = serializers.IntegerField(help_text="How many participants it has.")

    example: Mapping[str, Any] = {"parties": 2}


class SummaryTextsSerializer(serializers.Serializer):
    received = serializers.IntegerField(help_text="Texts of participants.")
    relayed = serializers.IntegerField(help_text="Texts of participants and yours, once for each recipient.")
    delivered = serializers.IntegerField(help_text="Those of `relayed` that were delivered.")


class SummaryDataSerializer(serializers.Serializer):
    """A summary of a conversation that has ended."""

    reason = serializers.CharField(help_text="Why it ended.")
    parties = serializers.IntegerField(help_text="How many participants it had, also those who were removed.")
    duration = serializers.IntegerField(help_text="Seconds since its creation.")
    texts = SummaryTextsSerializer(help_text="Counts of its texts until its end.")
    cost = serializers.DecimalField(
        max_digits=12, decimal_places=5, help_text="EUR, by the prices that the carrier has told."
    )

    example: Mapping[str, Any] = {
        "reason": "closed",
        "parties": 2,
        "duration": 5400,
        "texts": {"received": 3, "relayed": 3, "delivered": 3},
        "cost": "0.09990",
    }


class ReopenedDataSerializer(serializers.Serializer):
    reason = serializers.CharField(help_text="Why it goes on.")

    example: Mapping[str, Any] = {"reason": "reopened"}


class ChangedDataSerializer(serializers.Serializer):
    changed = serializers.ListField(
        child=serializers.ChoiceField(CHANGED_TERMS),
        help_text="The fields of the conversation that changed. Read it for their values.",
    )

    example: Mapping[str, Any] = {"changed": ["ttl", "expires_at"]}


class ParticipantDataSerializer(serializers.Serializer):
    participant = _position("The participant.")

    example: Mapping[str, Any] = {"participant": 0}


class ProxyNumberDataSerializer(ParticipantDataSerializer):
    proxy_number = E164Field(help_text="The virtual number that the participant texts from now on.")

    example = {**ParticipantDataSerializer.example, "proxy_number": E164_EXAMPLE}


class ParticipantChangedDataSerializer(ParticipantDataSerializer):
    changed = serializers.ListField(
        child=serializers.ChoiceField(CHANGED_OF_PARTICIPANTS),
        help_text="The fields of the participant that changed. Read them for their values.",
    )

    example = {**ParticipantDataSerializer.example, "changed": ["number"]}


class UnmatchedDataSerializer(serializers.Serializer):
    message_id = _message_id()
    outcome = serializers.ChoiceField(UNMATCHED_OUTCOMES, help_text="What happened to the text.")
    virtual_number = E164Field(allow_null=True, help_text="The number that was texted. Null: it is not one of ours.")

    example: Mapping[str, Any] = {"message_id": _MESSAGE_ID, "outcome": "no_route", "virtual_number": E164_EXAMPLE}


class NumberDataSerializer(serializers.Serializer):
    number = E164Field(help_text="The virtual number.")
    reason = serializers.CharField(help_text="Why its status changed.")

    example: Mapping[str, Any] = {"number": E164_EXAMPLE, "reason": "too many messages are undelivered"}


class TroubleDataSerializer(serializers.Serializer):
    kind = serializers.CharField(help_text="The kind of trouble. Later versions may add kinds.")
    sentence = serializers.CharField(help_text="What was wrong, as last seen.")

    example: Mapping[str, Any] = {"kind": "no_worker", "sentence": "No worker is running."}


# None: the type has no data.
DATA: Mapping[EventType, type[serializers.Serializer] | None] = {
    EventType.MESSAGE_RECEIVED: ReceivedDataSerializer,
    EventType.MESSAGE_RELAYED: RelayedDataSerializer,
    EventType.MESSAGE_HELD: TextDataSerializer,
    EventType.MESSAGE_SENT: StatusDataSerializer,
    EventType.MESSAGE_DELIVERED: StatusDataSerializer,
    EventType.MESSAGE_UNDELIVERED: FailedDataSerializer,
    EventType.MESSAGE_FAILED: FailedDataSerializer,
    EventType.MESSAGE_UNKNOWN: StatusDataSerializer,
    EventType.MESSAGE_CANCELLED: StatusDataSerializer,
    EventType.CONVERSATION_CREATED: CreatedDataSerializer,
    EventType.CONVERSATION_CLOSED: SummaryDataSerializer,
    EventType.CONVERSATION_EXPIRED: SummaryDataSerializer,
    EventType.CONVERSATION_IDLE: SummaryDataSerializer,
    EventType.CONVERSATION_REOPENED: ReopenedDataSerializer,
    EventType.CONVERSATION_HELD: None,
    EventType.CONVERSATION_RELEASED: None,
    EventType.CONVERSATION_CHANGED: ChangedDataSerializer,
    EventType.PARTICIPANT_ADDED: ProxyNumberDataSerializer,
    EventType.PARTICIPANT_REMOVED: ParticipantDataSerializer,
    EventType.PARTICIPANT_CHANGED: ParticipantChangedDataSerializer,
    EventType.PARTICIPANT_OPTED_OUT: ParticipantDataSerializer,
    EventType.PARTICIPANT_OPTED_IN: ParticipantDataSerializer,
    EventType.PARTICIPANT_PROXY_NUMBER_CHANGED: ProxyNumberDataSerializer,
    EventType.INBOUND_UNMATCHED: UnmatchedDataSerializer,
    EventType.NUMBER_ORDERED: NumberDataSerializer,
    EventType.NUMBER_CONFIGURING: NumberDataSerializer,
    EventType.NUMBER_ACTIVE: NumberDataSerializer,
    EventType.NUMBER_QUARANTINED: NumberDataSerializer,
    EventType.NUMBER_DRAINING: NumberDataSerializer,
    EventType.NUMBER_RETIRED: NumberDataSerializer,
    EventType.TROUBLE_BEGAN: TroubleDataSerializer,
    EventType.TROUBLE_ENDED: TroubleDataSerializer,
}


class EventConversationSerializer(serializers.Serializer):
    id = serializers.UUIDField(help_text="The conversation's id.")
    reference = serializers.CharField(help_text="The marketplace's own name for it, or an empty string.")


def example_of(type_: EventType) -> dict[str, Any]:
    """Return an example of an event of this type."""
    data = DATA[type_]
    values = dict(data.example) if data else {}  # type: ignore[attr-defined]  # each data serializer has one
    if data is SummaryDataSerializer:
        values["reason"] = type_.value.removeprefix("conversation.")
    is_about_conversation = not (type_.needs_numbers or type_ == EventType.INBOUND_UNMATCHED)
    return {
        "id": _EVENT_ID,
        "type": type_.value,
        "created_at": AT,
        "conversation": {"id": CONVERSATION_ID, "reference": "order-42"} if is_about_conversation else None,
        "data": values,
    }


def _event_serializer(type_: EventType) -> type[serializers.Serializer]:
    """Return the serializer of events of one type, such as MessageSentEventSerializer."""
    name = "".join(word.capitalize() for word in type_.name.split("_"))
    data = DATA[type_]
    scope = " Needs the scope `numbers`." if type_.needs_numbers else ""
    members = {
        "__module__": __name__,
        "id": serializers.UUIDField(
            help_text="The event's id, the same whenever it is read. Also a cursor after the event."
        ),
        "type": serializers.ChoiceField([type_.value], help_text="What happened."),
        "created_at": serializers.DateTimeField(help_text="When it happened."),
        "conversation": EventConversationSerializer(
            allow_null=True, help_text="Null if it is about none, or about one that has been deleted since."
        ),
        "data": data(help_text="Further values.") if data else serializers.DictField(help_text="No values."),
        "description": f"{type_.label[0].upper()}{type_.label[1:]}.{scope}",
        "example": example_of(type_),
    }
    return type(f"{name}EventSerializer", (serializers.Serializer,), members)


EVENT_SERIALIZERS = {type_: _event_serializer(type_) for type_ in DATA}


class EventSerializer(serializers.Serializer):
    """An event of any type. It is shown as one schema of EVENT_SERIALIZERS, by its `type`."""

    discriminator = "type"
    one_of = EVENT_SERIALIZERS
    description = "What happened. Later versions may add types and values: ignore those that you do not know."
