"""REST API: change, close, reopen and extend a conversation."""

from uuid import UUID

from django.db import transaction
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api.answers import CONVERSATION_PATH, ConversationSerializer
from conversations.api.change_requests import (
    ChangeSerializer,
    ClosingSerializer,
    ExtensionSerializer,
    ReopeningSerializer,
)
from conversations.api.creation import taken
from conversations.api.refusals import cannot_create, too_many_at_once
from conversations.lifecycle.change import change_conversation, close_conversation
from conversations.lifecycle.reopen import reopen_conversation
from conversations.lifecycle.request import CannotCreate, ContentionError, ReferenceTaken
from conversations.models import Conversation
from conversations.models.conversation_terms import MAX_AHEAD, BlankReference, EndHasPassed, EndTooLate
from smsproxy.api.authentication import caller, service_of
from smsproxy.api.idempotency import Once
from smsproxy.api.problems import Problem
from smsproxy.api.schema import operation
from smsproxy.api.views import ApiView
from smsproxy.states import StaleState


def find_conversation(request: Request, public_id: UUID) -> Conversation:
    """Return the conversation of the caller's service with this id, with its participants. Raises Http404."""
    ours = Conversation.objects.with_participants().filter(service=service_of(request))
    conversation: Conversation = get_object_or_404(ours, public_id=public_id)
    return conversation


def actor(request: Request) -> str:
    """Return who changes the conversation, for its events."""
    return caller(request).actor


def answer_change(request: Request, public_id: UUID) -> Response:
    """Change what the body names, and answer the conversation."""
    asked = ChangeSerializer(data=request.data)
    asked.is_valid(raise_exception=True)
    conversation = find_conversation(request, public_id)
    try:
        change_conversation(conversation, asked.values(), end=asked.end(), actor=actor(request))
    except ReferenceTaken as error:
        raise taken(error) from None
    except ContentionError:
        raise too_many_at_once() from None
    except StaleState:
        raise _ended("Its times cannot be changed. Reopen it with a new end, or create a new conversation.") from None
    except BlankReference:
        blank = ErrorDetail("A unique reference must not be empty.", code="blank")
        raise serializers.ValidationError({"reference": blank}) from None
    return Response(ConversationSerializer(conversation).data)


class CloseConversation(ApiView):
    """Close a conversation. Closing a closed one changes nothing and succeeds, so a caller may retry."""

    @operation(
        "close_conversation",
        "Close a conversation",
        request=ClosingSerializer,
        path=CONVERSATION_PATH,
        answers={200: ConversationSerializer},
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        asked = ClosingSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        conversation = find_conversation(request, public_id)
        close_conversation(conversation, **asked.validated_data, actor=actor(request))
        return Response(ConversationSerializer(conversation).data)


class ReopenConversation(ApiView):
    """Reopen a closed conversation with the numbers its participants had. Reopening an open one changes nothing."""

    @operation(
        "reopen_conversation",
        "Reopen a conversation",
        request=ReopeningSerializer,
        path=CONVERSATION_PATH,
        answers={200: ConversationSerializer},
        problems=["blocked", "end_has_passed", "numbers_released", "opted_out", "reference_taken", "too_many_at_once"],
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        asked = ReopeningSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        conversation = find_conversation(request, public_id)
        try:
            reopen_conversation(conversation, end=asked.end(), actor=actor(request))
        except CannotCreate as error:
            participant = conversation.current_participants[error.position]
            error.position = participant.position
            raise cannot_create(error, participant.label) from None
        except ReferenceTaken as error:
            raise taken(error) from None
        except ContentionError:
            raise too_many_at_once() from None
        except EndHasPassed:
            raise Problem(
                409,
                "The end of the conversation has passed",
                "It has a fixed end, which has passed. Name a new «ttl» or «expires_at».",
                code="end_has_passed",
            ) from None
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


class ExtendConversation(ApiView):
    """Move the end of an open conversation later. Its `ttl` stays, for a reopening."""

    @operation(
        "extend_conversation",
        "Extend a conversation",
        request=ExtensionSerializer,
        path=CONVERSATION_PATH,
        answers={200: ConversationSerializer},
        problems=["conversation_ended", "no_end", "end_too_late"],
        creates=True,
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        asked = ExtensionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        once = Once.of(request, asked.validated_data)
        conversation = find_conversation(request, public_id)
        with transaction.atomic():
            once.begin()
            _extend(conversation, asked.validated_data["seconds"], actor=actor(request))
            return once.finish(200, ConversationSerializer(conversation).data)


def _extend(conversation: Conversation, seconds: int, *, actor: str) -> None:
    try:
        conversation.extend(seconds, actor=actor)
    except StaleState:
        if not conversation.is_live():
            raise _ended("It cannot be extended. Reopen it with a new end, or create a new conversation.") from None
        raise Problem(
            409,
            "The conversation has no end",
            "It never ends by a ttl or at a fixed time, so there is nothing to move. To give it an end, change its "
            "«ttl» or «expires_at».",
            code="no_end",
        ) from None
    except EndTooLate:
        raise Problem(
            409,
            "The end would be too late",
            f"A conversation can be extended until {MAX_AHEAD.days} days from now.",
            code="end_too_late",
        ) from None


def _ended(advice: str) -> Problem:
    return Problem(
        409, "The conversation has ended", f"The conversation has ended. {advice}", code="conversation_ended"
    )
