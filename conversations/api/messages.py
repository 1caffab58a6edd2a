"""REST API: read the messages of a conversation, and send one."""

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import Http404
from rest_framework import serializers
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from conversations.api.answers import CONVERSATION_PATH
from conversations.api.message_answers import MessagePageSerializer, MessageSerializer
from conversations.api.message_cursor import decode_cursor, encode_cursor
from conversations.api.message_refusals import SENDING_PROBLEMS, cannot_send, limit_used_up
from conversations.insight.message_history import Position, find_message, message_of, read_page
from conversations.lifecycle.request import OverLimit
from conversations.lifecycle.send_message import CannotSend, NewMessage, send_message
from conversations.models import Conversation
from conversations.models.conversation import MAX_PARTICIPANTS
from conversations.models.participant import MAX_POSITION
from smsproxy.api.authentication import caller, service_of
from smsproxy.api.fields import (
    BoundedListField,
    IntegerField,
    IntegerParameter,
    Parameters,
    StrictSerializer,
    TextField,
)
from smsproxy.api.idempotency import Once
from smsproxy.api.pagination import MAX_PAGE_SIZE, invalid_cursor
from smsproxy.api.schema import operation
from smsproxy.api.views import ApiView

# More characters than any text of MAX_SEGMENTS has.
MAX_TEXT = 10_000


class MessageParameters(Parameters):
    """Query parameters of the list."""

    after = TextField(max_length=100, required=False, help_text="The `cursor` of another answer for this conversation.")
    page_size = IntegerParameter(
        min_value=1, max_value=MAX_PAGE_SIZE, required=False, default=50, help_text="The maximum of results."
    )


class NewMessageSerializer(StrictSerializer):
    """A text to send."""

    text = TextField(max_length=MAX_TEXT, trim_whitespace=False, help_text="The text, as it is to be sent.")
    to = BoundedListField(
        child=IntegerField(min_value=0, max_value=MAX_POSITION),
        min_length=1,
        max_length=MAX_PARTICIPANTS,
        required=False,
        help_text="The positions of its recipients. Without it: all participants except `from`.",
    )
    author = IntegerField(
        min_value=0,
        max_value=MAX_POSITION,
        required=False,
        allow_null=True,
        default=None,
        help_text="The position of the participant in whose name it is sent. Without it: the marketplace.",
    )

    example: ClassVar[dict[str, Any]] = {"text": "Your driver has arrived.", "to": [0]}

    def get_fields(self) -> dict[str, Any]:
        # "from" is a word of Python.
        return {"from" if name == "author" else name: field for name, field in super().get_fields().items()}

    def validate_text(self, text: str) -> str:
        if not text.strip():
            raise serializers.ValidationError("Expected a text, found only white space.", code="blank")
        return text

    def validate_to(self, to: list[int]) -> list[int]:
        if len(set(to)) != len(to):
            raise serializers.ValidationError("Expected each participant once.", code="same_participant_twice")
        return to

    def asked(self) -> NewMessage:
        data = self.validated_data
        return NewMessage(text=data["text"], to=data.get("to"), author=data["from"])


class Messages(ApiView):
    """The messages of a conversation."""

    @operation(
        "list_messages",
        "List the messages of a conversation",
        description="The oldest first, also after the end of the conversation. Poll with `after`.",
        parameters=MessageParameters,
        answers={200: MessagePageSerializer},
        path=CONVERSATION_PATH,
        problems=["cursor_invalid"],
    )
    def get(self, request: Request, public_id: UUID) -> Response:
        conversation = _conversation(request, public_id)
        after: Position | None = Position()
        if "after" in self.parameters:
            after = decode_cursor(conversation, self.parameters["after"])
        if after is None:
            raise invalid_cursor("after")
        page = read_page(conversation, after, self.parameters["page_size"])
        cursor = encode_cursor(conversation, page.position)
        return Response(
            MessagePageSerializer({"results": page.messages, "cursor": cursor, "has_more": page.has_more}).data
        )

    @operation(
        "send_message",
        "Send a text in a conversation",
        description="As the marketplace, or in the name of a participant. Each recipient gets it from their own proxy "
        "number, in one order with the texts of the participants.",
        request=NewMessageSerializer,
        answers={201: MessageSerializer},
        path=CONVERSATION_PATH,
        creates=True,
        problems=SENDING_PROBLEMS,
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        asked = NewMessageSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        conversation = _conversation(request, public_id)
        once = Once.of(request, asked.validated_data)
        try:
            with transaction.atomic():
                once.begin()
                message = send_message(conversation, asked.asked(), created_by=caller(request))
                answer = MessageSerializer(message_of(message)).data
                return once.finish(201, answer, reverse("message", kwargs={"public_id": answer["id"]}, request=request))
        except CannotSend as error:
            raise cannot_send(error, most_segments=settings.MAX_SEGMENTS) from None
        except OverLimit as error:
            raise limit_used_up(error.refusal) from None


class MessageDetail(ApiView):
    """One message, by its id in a list or in an event."""

    @operation(
        "read_message",
        "Read a message",
        answers={200: MessageSerializer},
        path={"public_id": "The message's id."},
    )
    def get(self, request: Request, public_id: UUID) -> Response:
        message = find_message(str(public_id), service_of(request))
        if message is None:
            raise Http404
        return Response(MessageSerializer(message).data)


def _conversation(request: Request, public_id: UUID) -> Conversation:
    found: Conversation = get_object_or_404(
        Conversation.objects.filter(service=service_of(request)), public_id=public_id
    )
    return found
