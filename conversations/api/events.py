"""GET /api/v1/events/: the feed of what happened, for polling."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api.event_types import EventSerializer, example_of
from conversations.models import Conversation, MessageKind
from smsproxy.api.authentication import caller
from smsproxy.api.fields import IntegerParameter, Parameters, TextField
from smsproxy.api.pagination import MAX_PAGE_SIZE, invalid_cursor
from smsproxy.api.problems import Problem
from smsproxy.api.schema import operation
from smsproxy.api.scopes import Scope
from smsproxy.api.views import ApiView
from smsproxy.events import feed
from smsproxy.events.models import FeedEvent
from smsproxy.events.types import EventType
from smsproxy.opaque_ids import IdKind, public_id

LATEST = "latest"


class EventParameters(Parameters):
    """Query parameters of the feed."""

    after = TextField(
        max_length=36,
        trim_whitespace=False,
        required=False,
        help_text=f"The cursor of the last answer, or the id of an event. Absent: from the oldest event that is kept. "
        f"“{LATEST}”: no events, and a cursor after all that exist.",
    )
    page_size = IntegerParameter(
        min_value=1, max_value=MAX_PAGE_SIZE, required=False, default=100, help_text="The most events in one answer."
    )


class EventPageSerializer(serializers.Serializer):
    results = EventSerializer(many=True, help_text="Events, oldest first.")
    cursor = serializers.CharField(help_text="Send it as `after` to get the events that follow.")
    example: ClassVar[dict[str, Any]] = {
        "results": [example_of(EventType.MESSAGE_DELIVERED)],
        "cursor": example_of(EventType.MESSAGE_DELIVERED)["id"],
    }


class EventFeed(ApiView):
    """The events of the key's service. A key with the scope `numbers` also gets those of numbers and troubles."""

    @operation(
        "list_events",
        "Read the events after a cursor",
        parameters=EventParameters,
        answers={200: EventPageSerializer},
        problems=["cursor_invalid", "cursor_expired"],
    )
    def get(self, request: Request) -> Response:
        after, page_size = self.parameters.get("after"), self.parameters["page_size"]
        if after == LATEST:
            return _answer([], feed.read_latest())
        key = caller(request)
        position = feed.BEGINNING if after is None else _position(after)
        is_operator = key.has_scope(Scope.NUMBERS)
        try:
            page = feed.read(key.service_id, position, limit=page_size, is_operator=is_operator)
        except feed.CursorExpired:
            raise Problem(
                410,
                "The cursor has expired",
                "Events after this cursor may have been deleted: they are kept for 30 days. Read the present status of "
                "your open conversations, then go on without «after», or from «after=latest».",
                code="cursor_expired",
            ) from None
        return _answer(page.events, page.cursor)


def _position(after: str) -> feed.Position:
    try:
        return feed.Position.parse(after)
    except feed.CursorInvalid:
        expected = f"Expected the cursor of an earlier answer, the id of an event, or «{LATEST}»."
        raise invalid_cursor("after", expected) from None


def _answer(events: Sequence[FeedEvent], cursor: str) -> Response:
    ids = {event.conversation_id for event in events if event.conversation_id is not None}
    conversations = Conversation.objects.only("public_id", "reference").in_bulk(ids) if ids else {}
    results = [_rendered(event, conversations) for event in events]
    return Response({"results": results, "cursor": cursor}, headers={"Cache-Control": "no-store"})


def _rendered(event: FeedEvent, conversations: Mapping[int, Conversation]) -> dict[str, Any]:
    conversation = conversations.get(event.conversation_id) if event.conversation_id is not None else None
    return {
        "id": feed.cursor_of(event),
        "type": event.type,
        "created_at": serializers.DateTimeField().to_representation(event.created_at),
        "conversation": {"id": str(conversation.public_id), "reference": conversation.reference}
        if conversation
        else None,
        "data": _data(event),
    }


def _data(event: FeedEvent) -> dict[str, Any]:
    """Return what this type of event says, with public ids in place of those of rows."""
    stored = dict(event.data)
    data: dict[str, Any] = {}
    if event.outbound_id is not None:
        kind, api_message = stored.pop("kind", MessageKind.RELAY.value), stored.pop("api_message", None)
        data["message_id"] = _message_id(event, api_message)
        data["kind"] = "text" if kind == MessageKind.RELAY else kind
        data["recipient"] = event.participant
        if "class" in stored:
            data["error"] = {"class": stored.pop("class"), "code": stored.pop("code")}
    elif event.inbound_id is not None:
        data["message_id"] = public_id(IdKind.INBOUND_MESSAGE, event.inbound_id)
    if event.participant is not None and event.outbound_id is None:
        data["participant"] = event.participant
    return data | stored


def _message_id(event: FeedEvent, api_message: int | None) -> str:
    """Return the id of the message as the API shows it: one id for all recipients of a text."""
    if event.inbound_id is not None:
        return public_id(IdKind.INBOUND_MESSAGE, event.inbound_id)
    if api_message is not None:
        return public_id(IdKind.API_MESSAGE, api_message)
    return public_id(IdKind.OUTBOUND_MESSAGE, event.outbound_id or 0)
