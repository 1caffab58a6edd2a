"""REST API: create, list and read conversations."""

import json
import re
from typing import Any
from uuid import UUID

from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from conversations.api.answers import CONVERSATION_PATH, ConversationSerializer
from conversations.api.refusals import CREATION_PROBLEMS, cannot_create, over_limit, too_many_at_once
from conversations.api.requests import NewConversationSerializer
from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.request import (
    CannotCreate,
    ContentionError,
    IdempotencyKey,
    IdempotencyKeyReused,
    OverLimit,
)
from conversations.models import Conversation, ConversationState
from conversations.models.conversation import ConversationQuerySet
from smsproxy.api.authentication import caller
from smsproxy.api.fields import ChoiceField, TextField
from smsproxy.api.pagination import NewestFirst, PageParameters
from smsproxy.api.problems import Problem
from smsproxy.api.schema import operation
from smsproxy.api.views import ApiView
from smsproxy.crypto import keyed_hash


class ListFilters(PageParameters):
    """Query parameters of the list."""

    reference = TextField(max_length=100, required=False, help_text="Only conversations with this reference.")
    status = ChoiceField(ConversationState.values, required=False, help_text="Only conversations of this status.")


class ConversationList(ApiView, ListAPIView):
    """GET lists conversations, newest first. POST creates one."""

    serializer_class = ConversationSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> ConversationQuerySet:
        found: ConversationQuerySet = Conversation.objects.with_participants()
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

    @operation(
        "create_conversation",
        "Create a conversation",
        description="Gives each participant a proxy number, and tells them by text unless `notify` is false.",
        request=NewConversationSerializer,
        answers={201: ConversationSerializer},
        problems=[*CREATION_PROBLEMS, "over_limit"],
        creates=True,
    )
    def post(self, request: Request) -> Response:
        asked = NewConversationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        people, request_id = asked.people(), _request_id(request, asked.asked())
        try:
            made = create_conversation(people, asked.terms(), created_by=caller(request), request_id=request_id)
        except IdempotencyKeyReused:
            raise Problem(
                422,
                "The Idempotency-Key was used before",
                "This key was sent before with a different request. Use a new key for each new conversation.",
                code="idempotency_key_reused",
            ) from None
        except OverLimit as error:
            raise over_limit(error.refusal) from None
        except ContentionError:
            raise too_many_at_once() from None
        except CannotCreate as error:
            raise cannot_create(error, people[error.position].label) from None
        answer = ConversationSerializer(made).data
        where = reverse("conversation", kwargs={"public_id": made.public_id}, request=request)
        return Response(answer, status=201, headers={"Location": where})


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
        return Conversation.objects.with_participants()


def _request_id(request: Request, asked: dict[str, Any]) -> IdempotencyKey | None:
    """Return the Idempotency-Key header with a hash of the normalised request, or None without the header."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not re.fullmatch(r"[\x21-\x7e]{1,100}", key):
        raise Problem(
            400,
            "The Idempotency-Key is not valid",
            "Expected 1 to 100 visible ASCII characters, such as a UUID.",
            code="idempotency_key_invalid",
        )
    return IdempotencyKey(key=key, hash=keyed_hash(json.dumps(asked, sort_keys=True)))
