"""The REST API: create, list, read and close conversations."""

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

from conversations.creation import CannotCreate, MixedUp, NoNumberFree, Person, RequestId, create_conversation
from conversations.models import Conversation, ConversationState, Participant
from conversations.models.conversation import MAX_PARTICIPANTS, ConversationQuerySet
from smsproxy.api.authentication import caller
from smsproxy.api.problems import Problem
from smsproxy.crypto import keyed_hash
from smsproxy.phone import NotE164, parse_e164
from smsproxy.states import StaleState

MOST_UNKNOWN_FIELDS = 5  # that an answer names
LONGEST_TTL = 366 * 24 * 3600


class StrictSerializer(serializers.Serializer):
    """Refuses fields that it does not know: a misspelt «ttl» would otherwise be ignored in silence."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(str(key) for key in set(data) - set(self.fields))):
            known = ", ".join(self.fields)
            told = unknown[:MOST_UNKNOWN_FIELDS]
            raise serializers.ValidationError({key: [f"Unknown field. Known are: {known}."] for key in told})
        return super().to_internal_value(data)


class TextField(serializers.CharField):
    """A string that was sent as one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError(f"Expected a string, got {type(data).__name__}.", code="not_a_string")
        return super().to_internal_value(data)


class E164Field(TextField):
    def __init__(self, **kwargs: Any) -> None:
        # Trimming takes control characters away, too, and those are in no number.
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        try:
            return parse_e164(super().to_internal_value(data))
        except NotE164 as error:
            raise serializers.ValidationError(_sentence(error), code="not_e164") from None


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[0].upper()}{text[1:]}."


class LabelField(TextField):
    """What the other people see instead of a number; so it must not be one."""

    def to_internal_value(self, data: Any) -> str:
        label = super().to_internal_value(data)
        if len(re.sub(r"\D", "", label)) >= 7:
            raise serializers.ValidationError(
                "Expected a name: the others see the label, and this one could hold a phone number.",
                code="label_like_a_number",
            )
        return label


class PersonSerializer(StrictSerializer):
    number = E164Field()
    label = LabelField(  # type: ignore[assignment]  # DRF has an attribute of that name for its forms
        max_length=40, required=False, allow_blank=True, default=""
    )


class BoundedListField(serializers.ListField):
    """Looks at no entry of a list that is too long: each would be looked up and complained of."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        found: list[Any] = super().to_internal_value(data)
        return found


class NewConversationSerializer(StrictSerializer):
    participants = BoundedListField(child=PersonSerializer(), min_length=2, max_length=MAX_PARTICIPANTS)
    reference = TextField(max_length=100, required=False, allow_blank=True, default="")
    ttl = serializers.IntegerField(
        min_value=60, max_value=LONGEST_TTL, required=False, allow_null=True, default=None, help_text="Seconds."
    )
    idle_ttl = serializers.IntegerField(
        min_value=60, max_value=LONGEST_TTL, required=False, allow_null=True, default=None, help_text="Seconds."
    )
    notify = serializers.BooleanField(required=False, default=True)


class ParticipantSerializer(serializers.ModelSerializer):
    number = serializers.CharField(source="real_number.number")
    country = serializers.CharField(source="real_number.country")
    proxy_number = serializers.CharField(source="proxy_number.number")
    proxy_country = serializers.CharField(source="proxy_number.country")

    class Meta:
        model = Participant
        fields = ["label", "number", "country", "proxy_number", "proxy_country"]


class ConversationSerializer(serializers.ModelSerializer):
    id = serializers.UUIDField(source="public_id")
    status = serializers.SerializerMethodField()
    participants = ParticipantSerializer(many=True)

    class Meta:
        model = Conversation
        fields = [
            "id",
            "status",
            "reference",
            "participants",
            "created_at",
            "expires_at",
            "idle_ttl",
            "idle_at",
            "closed_at",
            "closed_reason",
        ]

    def get_status(self, conversation: Conversation) -> str:
        """An expired conversation is closed for everybody, even before the sweep has been there."""
        return ConversationState.OPEN.value if conversation.is_live() else ConversationState.CLOSED.value


class ListFilters(serializers.Serializer):
    """The query of the list."""

    reference = serializers.CharField(max_length=100, required=False)
    status = serializers.ChoiceField(choices=ConversationState.values, required=False)
    cursor = serializers.CharField(max_length=500, required=False)


class NewestFirst(CursorPagination):
    ordering = "-id"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def decode_cursor(self, request: Request) -> Cursor | None:
        """The cursor comes back from the caller, and its position goes into a query: it must be an id."""
        cursor: Cursor | None = super().decode_cursor(request)
        position = cursor.position if cursor else None
        if position is not None and not re.fullmatch("[0-9]{1,18}", str(position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor


class ConversationList(ListAPIView):
    """GET: the conversations, newest first. POST: a new one."""

    serializer_class = ConversationSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> ConversationQuerySet:
        filters = ListFilters(data=self.request.query_params)
        filters.is_valid(raise_exception=True)
        found: ConversationQuerySet = Conversation.objects.with_participants()
        if reference := filters.validated_data.get("reference"):
            found = found.filter(reference=reference)
        if status := filters.validated_data.get("status"):
            found = found.live() if status == ConversationState.OPEN else found.over()
        return found

    def post(self, request: Request) -> Response:
        asked = NewConversationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        data = asked.validated_data
        try:
            made = create_conversation(
                [Person(**person) for person in data["participants"]],
                reference=data["reference"],
                ttl=data["ttl"],
                idle_ttl=data["idle_ttl"],
                notify=data["notify"],
                created_by=caller(request),
                request_id=_request_id(request, data),
            )
        except MixedUp:
            raise Problem(
                422,
                "The Idempotency-Key was used before",
                "It came with a request that asks for something else. Use a new key for each new conversation.",
                code="idempotency_key_reused",
            ) from None
        except CannotCreate as error:
            raise _problem(error, data["participants"][error.position]["label"]) from None
        answer = ConversationSerializer(made).data
        where = reverse("conversation", kwargs={"public_id": made.public_id}, request=request)
        return Response(answer, status=201, headers={"Location": where})


class ConversationDetail(RetrieveAPIView):
    serializer_class = ConversationSerializer
    lookup_field = "public_id"

    def get_queryset(self) -> ConversationQuerySet:
        return Conversation.objects.with_participants()


class CloseConversation(APIView):
    """Close it. Closing a closed one changes nothing and succeeds, so a caller may repeat it."""

    def post(self, request: Request, public_id: str) -> Response:
        conversation = get_object_or_404(Conversation.objects.with_participants(), public_id=public_id)
        try:
            conversation.close(actor=f"API key {caller(request).name}")
        except StaleState:
            conversation.refresh_from_db()
        return Response(ConversationSerializer(conversation).data)


def _request_id(request: Request, data: dict[str, Any]) -> RequestId | None:
    """The Idempotency-Key header, with a hash of what is asked for in whatever spelling."""
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
    # An option that came later, and is not used, is left out: a repeat may reach a newer version of us.
    asked = {name: value for name, value in data.items() if name != "idle_ttl" or value is not None}
    return RequestId(key=key, hash=keyed_hash(json.dumps(asked, sort_keys=True)))


def _problem(error: CannotCreate, label: str) -> Problem:
    who = f"participant {error.position}" + (f" ({label})" if label else "")
    pointer = f"/participants/{error.position}" + ("" if isinstance(error, NoNumberFree) else "/number")
    return Problem(
        409 if isinstance(error, NoNumberFree) else 400,
        "No virtual number is free" if isinstance(error, NoNumberFree) else "The conversation cannot be created",
        f"{who[0].upper()}{who[1:]}: {error.detail}.",
        code=error.code,
        errors=[{"pointer": pointer, "code": error.code, "detail": error.detail}],
    )
