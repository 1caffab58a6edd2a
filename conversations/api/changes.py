"""REST API: change a conversation: close and reopen it."""

from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api.answers import CONVERSATION_PATH, ConversationSerializer
from conversations.api.refusals import cannot_create
from conversations.api.requests import ClosingSerializer
from conversations.lifecycle.reopen import reopen_conversation
from conversations.lifecycle.request import CannotCreate
from conversations.models import Conversation
from smsproxy.api.authentication import caller, service_of
from smsproxy.api.problems import Problem
from smsproxy.api.schema import operation
from smsproxy.api.views import ApiView
from smsproxy.states import StaleState


class CloseConversation(ApiView):
    """Close a conversation. Closing a closed one changes nothing and succeeds, so a caller may retry."""

    @operation(
        "close_conversation",
        "Close a conversation",
        request=ClosingSerializer,
        path=CONVERSATION_PATH,
        answers={200: ConversationSerializer},
    )
    def post(self, request: Request, public_id: str) -> Response:
        asked = ClosingSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        ours = Conversation.objects.with_participants().filter(service=service_of(request))
        conversation = get_object_or_404(ours, public_id=public_id)
        close = conversation.close_permanently if asked.validated_data["permanent"] else conversation.close
        try:
            close(actor=f"API key {caller(request).name}")
        except StaleState:
            conversation.refresh_from_db()
        return Response(ConversationSerializer(conversation).data)


class ReopenConversation(ApiView):
    """Reopen a closed conversation with the numbers its participants had. Reopening an open one changes nothing."""

    @operation(
        "reopen_conversation",
        "Reopen a conversation",
        path=CONVERSATION_PATH,
        answers={200: ConversationSerializer},
        problems=["blocked", "numbers_released", "opted_out"],
    )
    def post(self, request: Request, public_id: str) -> Response:
        ours = Conversation.objects.with_participants().filter(service=service_of(request))
        conversation = get_object_or_404(ours, public_id=public_id)
        try:
            reopen_conversation(conversation, actor=f"API key {caller(request).name}")
        except CannotCreate as error:
            raise cannot_create(error, conversation.current_participants[error.position].label) from None
        except StaleState:
            conversation.refresh_from_db()
            if not conversation.is_live():
                raise Problem(
                    409,
                    "The conversation cannot be reopened",
                    "One of its numbers was released and may serve other people. Create a new conversation.",
                    code="numbers_released",
                ) from None
        return Response(ConversationSerializer(conversation).data)
