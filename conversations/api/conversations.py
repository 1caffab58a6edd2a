"""REST API: create, list and read conversations."""

import json
import re
from typing import Any

from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from conversations.api.answers import ConversationSerializer
from conversations.api.refusals import cannot_create, over_limit, too_many_at_once
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
from smsproxy.api.authentication import caller, service_of
from smsproxy.api.fields import ChoiceField, StrictSerializer
from smsproxy.api.pagination import NewestFirst
from smsproxy.api.problems import Problem
from smsproxy.crypto import keyed_hash


class ListFilters(StrictSerializer):
    """Query parameters of the list."""

    reference = serializers.CharField(max_length=100, required=False)
    status = ChoiceField(ConversationState.values, required=False)
    cursor = serializers.CharField(max_length=500, required=False)
    page_size = serializers.CharField(max_length=20, required=False)


class ConversationList(ListAPIView):
    """GET lists conversations, newest first. POST creates one."""

    serializer_class = ConversationSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> ConversationQuerySet:
        filters = ListFilters(data=self.request.query_params)
        filters.is_valid(raise_exception=True)
        found: ConversationQuerySet = Conversation.objects.with_participants().filter(service=service_of(self.request))
        if reference := filters.validated_data.get("reference"):
            found = found.filter(reference=reference)
        if status := filters.validated_data.get("status"):
            found = found.open_now() if status == ConversationState.OPEN else found.ended()
        return found

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


class ConversationDetail(RetrieveAPIView):
    serializer_class = ConversationSerializer
    lookup_field = "public_id"

    def get_queryset(self) -> ConversationQuerySet:
        return Conversation.objects.with_participants().filter(service=service_of(self.request))


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
