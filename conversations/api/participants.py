"""REST API: the participants of a conversation: list, read, add, change and remove them."""

from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from conversations.api.answers import ParticipantSerializer
from conversations.api.refusals import cannot_create, over_limit, too_many_at_once
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
from conversations.models import Conversation, Participant
from conversations.models.conversation import MAX_PARTICIPANTS
from smsproxy.api.authentication import caller
from smsproxy.api.idempotency import Once
from smsproxy.api.problems import Problem

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


class ParticipantList(APIView):
    """GET lists the participants of a conversation, in order of their positions. POST adds one."""

    def get(self, request: Request, public_id: str) -> Response:
        members = members_of(_conversation(request, public_id))
        return Response({"results": ParticipantSerializer(members, many=True).data})

    def post(self, request: Request, public_id: str) -> Response:
        asked = NewParticipantSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        conversation = _conversation(request, public_id)
        answering = _Answering(request, Once.of(request, asked.asked()))
        try:
            add_participant(
                conversation,
                asked.spec(),
                notify=asked.validated_data["notify"],
                created_by=caller(request),
                actor=_actor(request),
                guard=answering,
            )
        except _REFUSALS as error:
            raise _problem(error) from None
        return answering.answer


class ParticipantDetail(APIView):
    """GET reads a participant, PATCH changes one, DELETE removes one."""

    def get(self, request: Request, public_id: str, position: int) -> Response:
        try:
            member = member_at(position, members_of(_conversation(request, public_id)))
        except NoSuchParticipant as error:
            raise _problem(error) from None
        return Response(ParticipantSerializer(member).data)

    def patch(self, request: Request, public_id: str, position: int) -> Response:
        asked = ParticipantChangesSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        conversation, changes = _conversation(request, public_id), dict(asked.validated_data)
        number, notify = changes.pop("number", None), changes.pop("notify")
        try:
            if number is None:
                member = change_participant(conversation, position, **changes, actor=_actor(request))
            else:
                member = give_new_phone(
                    conversation,
                    position,
                    number,
                    **changes,
                    notify=notify,
                    created_by=caller(request),
                    actor=_actor(request),
                )
        except _REFUSALS as error:
            raise _problem(error) from None
        return Response(ParticipantSerializer(member).data)

    def delete(self, request: Request, public_id: str, position: int) -> Response:
        try:
            remove_participant(_conversation(request, public_id), position, actor=_actor(request))
        except _REFUSALS as error:
            raise _problem(error) from None
        return Response(status=204)


class _Answering:
    """Answers an addition in its transaction, so that a repeat gets the same answer."""

    answer: Response

    def __init__(self, request: Request, once: Once) -> None:
        self._request, self._once = request, once
        self.raise_if_answered, self.begin = once.raise_if_answered, once.begin

    def finish(self, participant: Participant) -> None:
        place = {"public_id": participant.conversation.public_id, "position": participant.position}
        where = reverse("participant", kwargs=place, request=self._request)
        self.answer = self._once.finish(201, ParticipantSerializer(participant).data, where)


def _conversation(request: Request, public_id: str) -> Conversation:
    of_service = Conversation.objects.select_related("pool").filter(service=caller(request).service_id)
    found: Conversation = get_object_or_404(of_service, public_id=public_id)
    return found


def _actor(request: Request) -> str:
    return f"API key {caller(request).name}"


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
