"""What the API answers about conversations and participants."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, ClassVar

from rest_framework import serializers

from conversations.api import examples
from conversations.api.fields import MetadataField, RealNumberField
from conversations.insight.conversation_activity import (
    Activity,
    Confirmation,
    ConfirmationStatus,
    MessageCounts,
    activity_of,
)
from conversations.lifecycle.request import OnExisting
from conversations.models import Conversation, ConversationState, LateMessagePolicy, Participant
from numbers.assignment.choose import Preference
from numbers.assignment.policy import ExhaustionPolicy, Geography, Stickiness

CONVERSATION_PATH = {"public_id": "The `id` of the conversation."}


def load_activity(conversations: Sequence[Conversation]) -> None:
    """Load the activity of these conversations and their participants, for their answers."""
    found = activity_of([conversation.pk for conversation in conversations])
    for conversation in conversations:
        set_activity(conversation, found.get(conversation.pk, Activity()))


def set_activity(conversation: Conversation, activity: Activity) -> None:
    """Set the activity of a conversation and its participants, for its answer."""
    conversation.cache_participants(conversation.current_participants)
    conversation.activity = activity  # type: ignore[attr-defined]
    for participant in conversation.current_participants:
        participant.confirmation = activity.confirmation_to(participant.position)  # type: ignore[attr-defined]


class OptionalText(serializers.CharField):
    """A text; null if it is empty, which means the default."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)

    def to_representation(self, value: Any) -> Any:
        return value or None


class OptionalChoice(serializers.ChoiceField):
    """A choice; null if it is empty, which means the default."""

    def __init__(self, choices: Iterable[str], **kwargs: Any) -> None:
        super().__init__([str(each) for each in choices], allow_null=True, **kwargs)

    def to_representation(self, value: Any) -> Any:
        return value or None


class ConfirmationSerializer(serializers.Serializer):
    status = serializers.ChoiceField(
        [each.value for each in ConfirmationStatus],
        help_text="`none`: none was sent. `queued`: it waits or is being sent. `sent`: the carrier accepted it. "
        "`failed`: refused, undelivered, too old or cancelled. `unknown`: perhaps sent.",
    )
    at = serializers.DateTimeField(
        allow_null=True, help_text="Since when it has this status. Null without one, and once its history is deleted."
    )


class ParticipantSerializer(serializers.ModelSerializer):
    position = serializers.IntegerField(help_text="The participant's id in the conversation. It never changes.")
    side = OptionalText(help_text="The team: participants of one side share a proxy number.")
    number = RealNumberField(
        source="real_number.number", allow_null=True, help_text="The real number. Null if it cannot be decrypted."
    )
    country = serializers.CharField(source="real_number.country", help_text="Of the real number, ISO 3166-1 alpha-2.")
    proxy_number = serializers.CharField(
        source="proxy_number.number", help_text="The virtual number that this person texts, and receives texts from."
    )
    proxy_country = serializers.CharField(source="proxy_number.country", help_text="Country of that number.")
    chosen_by = serializers.ChoiceField(
        [*(each.value for each in Preference), ""], help_text="Why this number was chosen."
    )
    confirmation = ConfirmationSerializer(help_text="The message that tells the person which number to text.")

    example: ClassVar[dict[str, Any]] = examples.PARTICIPANT

    class Meta:
        model = Participant
        fields = [
            "position",
            "label",
            "side",
            "one_way",
            "number",
            "country",
            "proxy_number",
            "proxy_country",
            "chosen_by",
            "confirmation",
        ]

    def to_representation(self, instance: Participant) -> Any:
        if not hasattr(instance, "confirmation"):
            activity = activity_of([instance.conversation_id]).get(instance.conversation_id)
            instance.confirmation = (  # type: ignore[attr-defined]
                activity.confirmation_to(instance.position) if activity else Confirmation()
            )
        return super().to_representation(instance)


_COUNTS = {
    "received": "Texts of its participants. A long text counts once.",
    "relayed": "Those of them that went to the other participants.",
    "from_api": "Messages that you sent through the API.",
    "queued": "Messages to participants, once for each recipient, that wait or are being sent.",
    "sent": "Those that the carrier has accepted, without a receipt yet.",
    "delivered": "Those that reached the phone.",
    "undelivered": "Those that the carrier accepted and did not deliver.",
    "failed": "Those that were refused, or became too old.",
    "unknown": "Those that were perhaps sent.",
    "cancelled": "Those that were not sent, because the recipient had opted out, or staff decided so.",
}


class MessageCountsSerializer(serializers.Serializer):
    """Numbers of messages that are still stored."""

    def get_fields(self) -> dict[str, Any]:
        return {each.name: serializers.IntegerField(help_text=_COUNTS[each.name]) for each in fields(MessageCounts)}


class ConversationListSerializer(serializers.ListSerializer):
    """A page of conversations. Their activity is loaded for all of them at once."""

    def to_representation(self, data: Any) -> list[Any]:
        conversations = list(data)
        load_activity(conversations)
        return list(super().to_representation(conversations))


class ConversationSerializer(serializers.ModelSerializer):
    id = serializers.UUIDField(source="public_id", help_text="The conversation's id.")
    status = serializers.ChoiceField(
        ConversationState.values, source="status_now", help_text="A conversation whose time is up is `closed`."
    )
    unique_reference = serializers.BooleanField(
        source="is_reference_unique", help_text="Whether no other open conversation may have this reference."
    )
    metadata = MetadataField(allow_null=True, help_text="As sent. Null if it cannot be decrypted.")
    participants = ParticipantSerializer(
        many=True, source="current_participants", help_text="Those who are in it now, in the order of `position`."
    )
    pool = serializers.CharField(
        source="pool.name", default=None, allow_null=True, help_text="Null for the common pool."
    )
    geography = serializers.ChoiceField(
        [*(each.value for each in Geography), ""], help_text="Countries that proxy numbers may come from."
    )
    stickiness = OptionalChoice(Stickiness, help_text="As requested. Null: the default.")
    on_exhausted = OptionalChoice(ExhaustionPolicy, help_text="As requested. Null: the default.")
    on_existing = OptionalChoice(
        OnExisting, help_text="As requested, or `new`. Null: the conversation is older than this option."
    )
    language = OptionalText(help_text="The language of our texts. Null: the service's.")
    texts = serializers.DictField(
        child=serializers.CharField(allow_blank=True), source="own_texts", help_text="Texts of its own, by kind."
    )
    late_messages = serializers.ChoiceField(
        LateMessagePolicy.values,
        help_text="A text after the end, while the numbers cool down: `end` answers that it has ended, `reopen` "
        "reopens the conversation.",
    )
    ttl = serializers.IntegerField(
        allow_null=True, help_text="Seconds from its beginning to its end. Null: it has a fixed end, or none."
    )
    expires_at = serializers.DateTimeField(
        source="end_shown",
        allow_null=True,
        help_text="When its ttl or its fixed end ends it. After its end: when that ended it, or null.",
    )
    idle_at = serializers.DateTimeField(
        source="idle_end_shown",
        allow_null=True,
        help_text="When it ends if nobody writes before. After its end: when that ended it, or null.",
    )
    notify_status = serializers.ChoiceField(
        [each.value for each in ConfirmationStatus],
        help_text="The worst status of the confirmations to its participants.",
    )
    notify_failed = serializers.BooleanField(help_text="Whether a confirmation to a participant has failed.")
    last_message_at = serializers.DateTimeField(
        source="activity.last_message_at",
        allow_null=True,
        help_text="When a participant, or you through the API, last wrote.",
    )
    message_counts = MessageCountsSerializer(source="activity.counts", help_text="Numbers of its messages.")

    example: ClassVar[dict[str, Any]] = examples.CONVERSATION

    class Meta:
        model = Conversation
        list_serializer_class = ConversationListSerializer
        fields = [
            "id",
            "status",
            "reference",
            "unique_reference",
            "metadata",
            "participants",
            "pool",
            "geography",
            "stickiness",
            "on_exhausted",
            "on_existing",
            "language",
            "texts",
            "late_messages",
            "created_at",
            "ttl",
            "expires_at",
            "idle_ttl",
            "idle_at",
            "closed_at",
            "closed_reason",
            "reopened_at",
            "held_at",
            "notify",
            "notify_status",
            "notify_failed",
            "last_message_at",
            "message_counts",
        ]
        extra_kwargs = {
            "created_at": {"help_text": "When it was created."},
            "idle_ttl": {"help_text": "Seconds without a message after which it ends. Null: no limit."},
            "closed_at": {"help_text": "When it ended. Null while it is open."},
            "closed_reason": {"help_text": "Why it ended. Empty while it is open."},
        }

    def to_representation(self, instance: Conversation) -> Any:
        if not hasattr(instance, "activity"):
            load_activity([instance])
        activity: Activity = instance.activity  # type: ignore[attr-defined]
        status = activity.notify_status([each.position for each in instance.current_participants])
        instance.notify_status = status  # type: ignore[attr-defined]
        instance.notify_failed = status == ConfirmationStatus.FAILED  # type: ignore[attr-defined]
        return super().to_representation(instance)
