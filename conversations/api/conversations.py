"""REST API: create, list, read and change conversations."""

from uuid import UUID

from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api.answers import CONVERSATION_PATH, ConversationSerializer
from conversations.api.change_requests import ChangeSerializer
from conversations.api.changes import answer_change, find_conversation
from conversations.api.creation import CREATION, answer_creation
from conversations.api.list_filters import PERSON, ListFilters, matching
from conversations.models import Conversation
from conversations.models.conversation_queries import ConversationQuerySet
from smsproxy.api.authentication import service_of
from smsproxy.api.pagination import NewestFirst
from smsproxy.api.schema import operation
from smsproxy.api.views import ApiView


class ConversationList(ApiView, ListAPIView):
    """GET lists conversations, newest first. POST creates one."""

    serializer_class = ConversationSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> ConversationQuerySet:
        ours: ConversationQuerySet = Conversation.objects.with_participants().filter(service=service_of(self.request))
        return matching(ours, self.parameters, self.request)

    @operation(
        "list_conversations",
        "List conversations",
        description="Conversations, newest first.",
        parameters=ListFilters,
        headers=[PERSON],
        answers={200: ConversationSerializer(many=True)},
        problems=["cursor_invalid"],
    )
    def get(self, request: Request) -> Response:
        answer = self.list(request)
        answer["Cache-Control"] = "no-store"  # The same URL has another answer with another header.
        return answer

    @CREATION
    def post(self, request: Request) -> Response:
        return answer_creation(request)


class ConversationDetail(ApiView):
    """GET reads a conversation. PATCH changes what its body names."""

    @operation(
        "read_conversation",
        "Read a conversation",
        description="The conversation as it is now.",
        path=CONVERSATION_PATH,
        answers={200: ConversationSerializer},
    )
    def get(self, request: Request, public_id: UUID) -> Response:
        return Response(ConversationSerializer(find_conversation(request, public_id)).data)

    @operation(
        "change_conversation",
        "Change a conversation",
        description="Only the fields that are named change. The times of an ended conversation cannot be changed.",
        request=ChangeSerializer,
        path=CONVERSATION_PATH,
        answers={200: ConversationSerializer},
        problems=["conversation_ended", "reference_taken", "too_many_at_once"],
    )
    def patch(self, request: Request, public_id: UUID) -> Response:
        return answer_change(request, public_id)
