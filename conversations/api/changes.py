"""REST API: change a conversation: close and reopen it."""

from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from conversations.api.answers import ConversationSerializer
from conversations.api.refusals import cannot_create
from conversations.api.requests import ClosingSerializer, NoOptionsSerializer
from conversations.lifecycle.reopen import reopen_conversation
from conversations.lifecycle.request import CannotCreate
from conversations.models import Conversation
from smsproxy.api.authentication import caller, service_of
from smsproxy.api.problems import Problem
from smsproxy.states import StaleState


class CloseConversation(APIView):
    """Close a conversation. Closing a closed one changes nothing and succeeds, so a caller may retry."""

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


class ReopenConversation(APIView):
    """Reopen a closed conversation with the numbers its participants had. Reopening an open one changes nothing."""

    def post(self, request: Request, public_id: str) -> Response:
        NoOptionsSerializer(data=request.data).is_valid(raise_exception=True)
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
