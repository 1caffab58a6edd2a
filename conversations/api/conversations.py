"""REST API: create, list, read, close and reopen conversations."""

import json
import re
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import ListAPIView, RetrieveAPIView, get_object_or_404
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from conversations.api.serializers import (
    ClosingSerializer,
    ConversationSerializer,
    NewConversationSerializer,
    NoOptionsSerializer,
)
from conversations.lifecycle.create import create_conversation, dry_run
from conversations.lifecycle.reopen import reopen_conversation
from conversations.lifecycle.request import (
    CannotCreate,
    ContentionError,
    IdempotencyKey,
    IdempotencyKeyReused,
    NoNumberFree,
    OptedOut,
    OverLimit,
    ParticipantBlocked,
    RequestedNumberTaken,
)
from conversations.models import Conversation, ConversationState
from conversations.models.conversation import ConversationQuerySet
from conversations.models.limit_usage import Refusal
from smsproxy.api.authentication import caller
from smsproxy.api.fields import ChoiceField, StrictSerializer
from smsproxy.api.problems import Problem
from smsproxy.crypto import keyed_hash
from smsproxy.states import StaleState


class ListFilters(StrictSerializer):
    """Query parameters of the list."""

    reference = serializers.CharField(max_length=100, required=False)
    status = ChoiceField(ConversationState.values, required=False)
    cursor = serializers.CharField(max_length=500, required=False)
    page_size = serializers.CharField(max_length=20, required=False)


class NewestFirst(CursorPagination):
    ordering = "-id"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the cursor. Its position comes from the caller and goes into a query, so only an id is accepted."""
        cursor: Cursor | None = super().decode_cursor(request)
        position = cursor.position if cursor else None
        if position is not None and not re.fullmatch("[0-9]{1,18}", str(position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor


class ConversationList(ListAPIView):
    """GET lists conversations, newest first. POST creates one."""

    serializer_class = ConversationSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> ConversationQuerySet:
        filters = ListFilters(data=self.request.query_params)
        filters.is_valid(raise_exception=True)
        found: ConversationQuerySet = Conversation.objects.with_participants()
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
            raise _over_limit(error.refusal) from None
        except ContentionError:
            raise _too_many_at_once() from None
        except CannotCreate as error:
            raise _problem(error, people[error.position].label) from None
        answer = ConversationSerializer(made).data
        where = reverse("conversation", kwargs={"public_id": made.public_id}, request=request)
        return Response(answer, status=201, headers={"Location": where})


class DryRun(APIView):
    """Return the numbers a conversation would get, and by which preference. The body is that of a creation."""

    def post(self, request: Request) -> Response:
        asked = NewConversationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        people = asked.people()
        try:
            chosen = dry_run(people, asked.policy())
        except ContentionError:
            raise _too_many_at_once() from None
        except CannotCreate as error:
            raise _problem(error, people[error.position].label) from None
        return Response(
            {
                "participants": [
                    {
                        "label": person.label,
                        "number": person.number,
                        "proxy_number": each.number.number,
                        "proxy_country": each.number.country,
                        "chosen_by": each.preference,
                    }
                    for person, each in zip(people, chosen, strict=True)
                ]
            }
        )


class ConversationDetail(RetrieveAPIView):
    serializer_class = ConversationSerializer
    lookup_field = "public_id"

    def get_queryset(self) -> ConversationQuerySet:
        return Conversation.objects.with_participants()


class CloseConversation(APIView):
    """Close a conversation. Closing a closed one changes nothing and succeeds, so a caller may retry."""

    def post(self, request: Request, public_id: str) -> Response:
        asked = ClosingSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        conversation = get_object_or_404(Conversation.objects.with_participants(), public_id=public_id)
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
        conversation = get_object_or_404(Conversation.objects.with_participants(), public_id=public_id)
        try:
            reopen_conversation(conversation, actor=f"API key {caller(request).name}")
        except CannotCreate as error:
            raise _problem(error, conversation.current_participants[error.position].label) from None
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


def _over_limit(refusal: Refusal) -> Problem:
    minute, day = refusal.scope.limits
    limits = [f"{count} a {period}" for count, period in ((minute, "minute"), (day, "day")) if count]
    return Problem(
        429,
        "A limit of the API key is used up",
        f"The limit of {refusal.scope.label} is {' and '.join(limits)}. Retry the request after {refusal.retry_after} "
        "seconds. The operator can raise the limit.",
        code="over_limit",
        retry_after=refusal.retry_after,
    )


def _too_many_at_once() -> Problem:
    return Problem(
        503,
        "Too many concurrent requests",
        "Concurrent requests took every free number. Retry the request.",
        code="too_many_at_once",
    )


def _problem(error: CannotCreate, label: str) -> Problem:
    who = f"participant {error.position}" + (f" ({label})" if label else "")
    told = f"{who[0].upper()}{who[1:]}: {error.detail}."
    pointer = f"/participants/{error.position}" + (f"/{error.field}" if error.field else "")
    errors = [{"pointer": pointer, "code": error.code, "detail": error.detail}]
    if isinstance(error, ParticipantBlocked):
        return Problem(409, "A participant is blocked", told, code=error.code, errors=errors)
    if isinstance(error, RequestedNumberTaken):
        return Problem(409, "The virtual number is taken", told, code=error.code, errors=errors)
    if isinstance(error, OptedOut):
        return Problem(409, "A participant has opted out", told, code=error.code, errors=errors)
    if not isinstance(error, NoNumberFree):
        return Problem(400, "The conversation cannot be created", told, code=error.code, errors=errors)
    return Problem(409, "No virtual number is free", told, code=error.code, errors=errors, extra=error.figures)
