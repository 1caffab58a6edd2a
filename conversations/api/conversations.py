"""REST API: create, list and read conversations."""

from uuid import UUID

from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api.answers import CONVERSATION_PATH, ConversationSerializer
from conversations.api.creation import CREATION, answer_creation
from conversations.models import Conversation, ConversationState
from conversations.models.conversation import ConversationQuerySet
from smsproxy.api.authentication import service_of
from smsproxy.api.fields import ChoiceField, TextField
from smsproxy.api.pagination import NewestFirst, PageParameters
from smsproxy.api.schema import operation
from smsproxy.api.views import ApiView


class ListFilters(PageParameters):
    """Query parameters of the list."""

    reference = TextField(max_length=100, required=False, help_text="Only conversations with this reference.")
    status = ChoiceField(ConversationState.values, required=False, help_text="Only conversations of this status.")


class ConversationList(ApiView, ListAPIView):
    """GET lists conversations, newest first. POST creates one."""

    serializer_class = ConversationSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> ConversationQuerySet:
        found: ConversationQuerySet = Conversation.objects.with_participants().filter(service=service_of(self.request))
        if reference := self.parameters.get("reference"):
            found = found.filter(reference=reference)
        if status := self.parameters.get("status"):
            found = found.open_now() if status == ConversationState.OPEN else found.ended()
        return found

    @operation(
        "list_conversations",
        "List conversations",
        description="Conversations, newest first.",
        parameters=ListFilters,
        answers={200: ConversationSerializer(many=True)},
        problems=["cursor_invalid"],
    )
    def get(self, request: Request) -> Response:
        return self.list(request)

    @CREATION
    def post(self, request: Request) -> Response:
        return answer_creation(request)


class ConversationDetail(ApiView, RetrieveAPIView):
    serializer_class = ConversationSerializer
    lookup_field = "public_id"

    @operation(
        "read_conversation",
        "Read a conversation",
        description="The conversation as it is now.",
        path=CONVERSATION_PATH,
        answers={200: ConversationSerializer},
    )
    def get(self, request: Request, public_id: UUID) -> Response:
        return self.retrieve(request)

    def get_queryset(self) -> ConversationQuerySet:
        return Conversation.objects.with_participants().filter(service=service_of(self.request))
