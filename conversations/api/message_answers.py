"""What the API answers about messages."""

from decimal import Decimal
from typing import Any, ClassVar

from rest_framework import serializers

from conversations.insight.message_errors import NotSentBecause
from conversations.insight.message_history import TEXT
from conversations.models import FailureReason, InboundOutcome, MessageKind, OutboundState
from conversations.models.outbound_state import OWN_KINDS

MESSAGE_KINDS = (TEXT, MessageKind.API.value, *(kind.value for kind in OWN_KINDS))
KINDS_MEAN = (
    "`text`: a participant texted it. `api`: you sent it, or the staff of the proxy in your name. "
    "The proxy sent the others: a `confirmation` of a new conversation, a `notice`, "
    "an answer to STOP, START or HELP (`keyword_answer`)."
)
ERROR_CLASSES = (*(each.value for each in FailureReason), *(each.value for each in NotSentBecause))
OUTCOMES = tuple(
    outcome.value
    for outcome in InboundOutcome
    if outcome not in (InboundOutcome.PART, InboundOutcome.DUPLICATE_PART, InboundOutcome.NO_ROUTE)
)


class PriceField(serializers.DecimalField):
    """An amount in EUR, as a string with five decimals."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=12, decimal_places=5, coerce_to_string=True, allow_null=True, **kwargs)

    def to_representation(self, value: Any) -> Any:
        return None if value is None else super().to_representation(Decimal(value))


class MessageErrorSerializer(serializers.Serializer):
    def get_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().get_fields()
        return {"class": fields.pop("kind")} | fields

    kind = serializers.ChoiceField(
        ERROR_CLASSES,
        source="kind",
        help_text="Who or what is at fault. `refused`: the carrier refused it. `opted_out`: the person gets no "
        "messages. `recipient`: the phone is off, full or out of service. `network`: the way to the phone. `expired`: "
        "it waited too long. `unsendable`: it could not be sent. `blocked`: its author is blocked. `cancelled`: it was "
        "withdrawn.",
    )
    code = serializers.CharField(help_text="The carrier's code. Empty if the carrier had no part in it.")


class RecipientSerializer(serializers.Serializer):
    participant = serializers.IntegerField(
        source="position", allow_null=True, help_text="The participant's position in the conversation."
    )
    status = serializers.ChoiceField(OutboundState.values, help_text="The status of the text to this participant.")
    segments = serializers.IntegerField(help_text="The SMS that the text takes.")
    price = PriceField(help_text="EUR. Null while it is not known.")
    error = MessageErrorSerializer(allow_null=True, help_text="Why it did not arrive, or null.")
    queued_at = serializers.DateTimeField(help_text="When it was queued.")
    sent_at = serializers.DateTimeField(allow_null=True, help_text="When the carrier accepted it, or null.")
    settled_at = serializers.DateTimeField(
        allow_null=True, help_text="When it was delivered, undelivered, failed or cancelled, or null."
    )


class MessageSerializer(serializers.Serializer):
    """A text in a conversation, with what became of it for each recipient."""

    id = serializers.UUIDField(help_text="The message's id.")
    conversation_id = serializers.UUIDField(help_text="The conversation's id.")
    kind = serializers.ChoiceField(MESSAGE_KINDS, help_text=KINDS_MEAN)
    author = serializers.IntegerField(
        source="author",
        allow_null=True,
        help_text="The position of the participant who wrote it. Null: the marketplace or the proxy.",
    )
    outcome = serializers.ChoiceField(
        OUTCOMES, allow_null=True, help_text="What happened to a participant's text. Null for other kinds."
    )
    text = serializers.CharField(allow_null=True, help_text="Null after its erasure.")
    missing_parts = serializers.IntegerField(help_text="Of a long text: how many of its parts never arrived.")
    created_at = serializers.DateTimeField(help_text="When it arrived, or was queued.")
    segments = serializers.IntegerField(help_text="The SMS that it takes, for all recipients.")
    price = PriceField(help_text="EUR, for all recipients. Null while it is not known.")
    recipients = RecipientSerializer(many=True, help_text="Those who get it, by their positions.")

    example: ClassVar[dict[str, Any]] = {
        "id": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "conversation_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        "kind": "api",
        "from": None,
        "outcome": None,
        "text": "Your driver has arrived.",
        "missing_parts": 0,
        "created_at": "2026-11-28T22:00:00.123456Z",
        "segments": 1,
        "price": "0.03330",
        "recipients": [
            {
                "participant": 0,
                "status": "delivered",
                "segments": 1,
                "price": "0.03330",
                "error": None,
                "queued_at": "2026-11-28T22:00:00.123456Z",
                "sent_at": "2026-11-28T22:00:00.456789Z",
                "settled_at": "2026-11-28T22:00:03.000000Z",
            }
        ],
    }

    def get_fields(self) -> dict[str, Any]:
        # "from" is a word of Python.
        return {"from" if name == "author" else name: field for name, field in super().get_fields().items()}


class MessagePageSerializer(serializers.Serializer):
    """Messages of a conversation, the oldest first."""

    results = MessageSerializer(many=True, help_text="Messages, the oldest first.")
    cursor = serializers.CharField(help_text="Send it as `after` to get the messages after these, now or later.")
    has_more = serializers.BooleanField(help_text="Whether there are more messages now.")
