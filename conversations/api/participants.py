"""REST API: the participants of a conversation: list, read, add, change and remove them."""

from functools import partial
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from conversations.api.answers import CONVERSATION_PATH, ParticipantSerializer
from conversations.api.changes import actor, find_conversation
from conversations.api.refusals import CREATION_PROBLEMS, cannot_create, over_limit, too_many_at_once
from conversations.api.requests import NewParticipantSerializer, ParticipantChangesSerializer
from conversations.lifecycle.add_participant import add_participant
from conversations.lifecycle.change_participant import change_participant, give_new_phone
from conversations.lifecycle.participants import (
    AlreadyParticipant,
    ConversationEnded,
    NoSuchParticipant,
    SideNumberTaken,
    TooFewParticipants,
    TooManyParticipants,
    member_at,
    members_of,
)
from conversations.lifecycle.remove_participant import remove_participant
from conversations.lifecycle.request import CannotCreate, ContentionError, OverLimit
from conversations.models import Participant
from conversations.models.conversation import MAX_PARTICIPANTS
from smsproxy.api.authentication import caller
from smsproxy.api.idempotency import Guarded, Once
from smsproxy.api.problems import Problem
from smsproxy.api.schema import operation
from smsproxy.api.views import ApiView

PARTICIPANT_PATH = {**CONVERSATION_PATH, "position": "The `position` of the participant."}
_REFUSALS = (
    AlreadyParticipant,
    CannotCreate,
    ContentionError,
    ConversationEnded,
    NoSuchParticipant,
    OverLimit,
    SideNumberTaken,
    TooFewParticipants,
    TooManyParticipants,
)
# Problems of anybody, or any phone, that joins a conversation.
_PROBLEMS_OF_JOINING = (
    *(code for code in CREATION_PROBLEMS if code != "same_number_twice"),
    "already_participant",
    "conversation_ended",
    "over_limit",
    "side_number_taken",
)


class ParticipantListSerializer(serializers.Serializer):
    results = ParticipantSerializer(many=True, help_text="Those who are in it now, in the order of `position`.")


class ParticipantList(ApiView):
    """GET lists the participants of a conversation, in order of their positions. POST adds one."""

    @operation(
        "list_participants",
        "List the participants of a conversation",
        description="Those who are in it now, in the order of `position`.",
        path=CONVERSATION_PATH,
        answers={200: ParticipantListSerializer},
    )
    def get(self, request: Request, public_id: UUID) -> Response:
        members = find_conversation(request, public_id).current_participants
        return Response({"results": ParticipantSerializer(members, many=True).data})

    @operation(
        "add_participant",
        "Add a participant",
        description="Gives a person a proxy number in an open conversation. The others keep theirs.",
        request=NewParticipantSerializer,
        path=CONVERSATION_PATH,
        answers={201: ParticipantSerializer},
        problems=[*_PROBLEMS_OF_JOINING, "too_many_participants"],
        creates=True,
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        asked = NewParticipantSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        guard = Guarded(Once.of(request, asked.asked()), partial(_answer, request=request))
        try:
            add_participant(
                find_conversation(request, public_id),
                asked.spec(),
                notify=asked.validated_data["notify"],
                created_by=caller(request),
                actor=actor(request),
                guard=guard,
            )
        except _REFUSALS as error:
            raise _problem(error) from None
        return guard.response


class ParticipantDetail(ApiView):
    """GET reads a participant, PATCH changes one, DELETE removes one."""

    @operation(
        "read_participant",
        "Read a participant",
        description="The participant as they are now. Someone who was removed is not found.",
        path=PARTICIPANT_PATH,
        answers={200: ParticipantSerializer},
    )
    def get(self, request: Request, public_id: UUID, position: int) -> Response:
        try:
            member = member_at(position, members_of(find_conversation(request, public_id)))
        except NoSuchParticipant as error:
            raise _problem(error) from None
        return Response(ParticipantSerializer(member).data)

    @operation(
        "change_participant",
        "Change a participant",
        description="Only the fields that are named change. With another `number`, the person has a new phone: the old "
        "one is out of the conversation at once.",
        request=ParticipantChangesSerializer,
        path=PARTICIPANT_PATH,
        answers={200: ParticipantSerializer},
        problems=_PROBLEMS_OF_JOINING,
    )
    def patch(self, request: Request, public_id: UUID, position: int) -> Response:
        asked = ParticipantChangesSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        conversation, changes = find_conversation(request, public_id), dict(asked.validated_data)
        number, notify = changes.pop("number", None), changes.pop("notify")
        try:
            if number is None:
                member = change_participant(conversation, position, **changes, actor=actor(request))
            else:
                options = {"notify": notify, "created_by": caller(request), "actor": actor(request)}
                member = give_new_phone(conversation, position, number, **changes, **options)
        except _REFUSALS as error:
            raise _problem(error) from None
        return Response(ParticipantSerializer(member).data)

    @operation(
        "remove_participant",
        "Remove a participant",
        description="Nobody in the conversation reaches them any more, and they reach nobody. A repeat answers 404.",
        path=PARTICIPANT_PATH,
        answers={204: None},
        problems=["too_few_participants"],
    )
    def delete(self, request: Request, public_id: UUID, position: int) -> Response:
        try:
            remove_participant(find_conversation(request, public_id), position, actor=actor(request))
        except _REFUSALS as error:
            raise _problem(error) from None
        return Response(status=204)


def _answer(participant: Participant, request: Request) -> tuple[int, Any, str]:
    place = {"public_id": participant.conversation.public_id, "position": participant.position}
    return 201, ParticipantSerializer(participant).data, reverse("participant", kwargs=place, request=request)


def _problem(error: Exception) -> Exception:
    """Return the answer to a request that the use cases refuse."""
    match error:
        case NoSuchParticipant():
            return NotFound("Nobody in this conversation has this position now.")
        case OverLimit():
            return over_limit(error.refusal)
        case ContentionError():
            return too_many_at_once()
        case CannotCreate():
            return _cannot_join(error)
        case AlreadyParticipant():
            title = "The person is a participant already"
            detail = f"Participant {error.position} of this conversation has this number."
            return Problem(409, title, detail, code="already_participant", extra={"position": error.position})
    title, detail, code = _CONFLICTS[type(error)]
    return Problem(409, title, detail, code=code)


def _cannot_join(error: CannotCreate) -> Problem:
    of_creation = cannot_create(error, "")
    title = of_creation.title if of_creation.status_code == 409 else "The person cannot be a participant"
    errors: list[dict[str, Any]] = [
        {"pointer": f"/{error.field}" if error.field else "", "code": error.code, "detail": error.detail}
    ]
    detail = f"This person: {error.detail}."
    extra = {name: value for name, value in of_creation.extra.items() if name != "participant"}
    return Problem(of_creation.status_code, title, detail, code=error.code, errors=errors, extra=extra)


_CONFLICTS: dict[type[Exception], tuple[str, str, str]] = {
    ConversationEnded: (
        "The conversation has ended",
        "Nobody can join a conversation that has ended. Reopen it, or create a new one.",
        "conversation_ended",
    ),
    TooManyParticipants: (
        "The conversation has too many participants",
        f"A conversation has at most {MAX_PARTICIPANTS} participants. Remove one before you add another.",
        "too_many_participants",
    ),
    TooFewParticipants: (
        "The conversation would have too few participants",
        "A conversation has at least 2 participants. Close it instead.",
        "too_few_participants",
    ),
    SideNumberTaken: (
        "The virtual number of the side is taken",
        "The members of a side share one virtual number. It is not free for this person: it serves another "
        "conversation of theirs, has no place left, cannot text their country, or is going out of service. Add the "
        "person without the side, or with another one.",
        "side_number_taken",
    ),
}
