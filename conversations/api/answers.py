"""What the API answers about conversations and participants."""

from django.utils import timezone
from rest_framework import serializers

from conversations.api.fields import RealNumberField
from conversations.models import Conversation, ConversationState, Participant

CONVERSATION_PATH = {"public_id": "The `id` of the conversation."}


class ParticipantSerializer(serializers.ModelSerializer):
    number = RealNumberField(source="real_number.number", allow_null=True)
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
    pool = serializers.CharField(source="pool.name", default=None, allow_null=True)
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
