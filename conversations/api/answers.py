"""What the API answers about conversations and participants."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from conversations.api.fields import RealNumberField
from conversations.insight.conversation_activity import Activity, ConfirmationStatus, MessageCounts, activity_of
from conversations.models import Conversation, ConversationState, Participant


def load_activity(conversations: Sequence[Conversation]) -> None:
    """Load the activity of these conversations, for their answers. Without it, each loads its own."""
    found = activity_of([conversation.pk for conversation in conversations])
    for conversation in conversations:
        conversation.activity = found.get(conversation.pk, Activity())  # type: ignore[attr-defined]


def _activity(conversation: Conversation) -> Activity:
    if not hasattr(conversation, "activity"):
        load_activity([conversation])
    activity: Activity = conversation.activity  # type: ignore[attr-defined]
    return activity


class ConfirmationSerializer(serializers.Serializer):
    """The message that told the participant which number to text."""

    status = serializers.ChoiceField([each.value for each in ConfirmationStatus])
    at = serializers.DateTimeField(allow_null=True)


class ParticipantSerializer(serializers.ModelSerializer):
    number = RealNumberField(source="real_number.number")
    country = serializers.CharField(source="real_number.country")
    proxy_number = serializers.CharField(source="proxy_number.number")
    proxy_country = serializers.CharField(source="proxy_number.country")
    confirmation = serializers.SerializerMethodField()

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

    def get_confirmation(self, participant: Participant) -> dict[str, Any]:
        confirmation = _activity(participant.conversation).confirmation_to(participant.position)
        return dict(ConfirmationSerializer(confirmation).data)


class MessageCountsSerializer(serializers.Serializer):
    """The counts of the fields of MessageCounts, all of them numbers."""

    def get_fields(self) -> dict[str, Any]:
        return {name: serializers.IntegerField() for name in MessageCounts.__dataclass_fields__}


class ConversationListSerializer(serializers.ListSerializer):
    """A page of conversations. Their activity is loaded for all of them at once."""

    def to_representation(self, data: Any) -> list[Any]:
        conversations = list(data)
        load_activity(conversations)
        return list(super().to_representation(conversations))


class ConversationSerializer(serializers.ModelSerializer):
    id = serializers.UUIDField(source="public_id")
    status = serializers.SerializerMethodField()
    unique_reference = serializers.BooleanField(source="is_reference_unique")
    metadata = serializers.DictField(source="metadata_value", allow_null=True)
    participants = serializers.SerializerMethodField()
    pool = serializers.CharField(source="pool.name", default=None)
    language = serializers.SerializerMethodField()
    texts = serializers.SerializerMethodField()
    stickiness = serializers.SerializerMethodField()
    on_exhausted = serializers.SerializerMethodField()
    on_existing = serializers.SerializerMethodField()
    expires_at = serializers.SerializerMethodField()
    idle_at = serializers.SerializerMethodField()
    notify_status = serializers.SerializerMethodField()
    notify_failed = serializers.SerializerMethodField()
    last_message_at = serializers.SerializerMethodField()
    message_counts = serializers.SerializerMethodField()

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

    def get_status(self, conversation: Conversation) -> str:
        """Return "closed" for an expired conversation too, even before the periodic job has closed it."""
        return ConversationState.OPEN.value if conversation.is_live(timezone.now()) else ConversationState.CLOSED.value
