"""Answer a request to create a conversation, also one that is sent again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from conversations.api.answers import ConversationSerializer, set_activity
from conversations.api.refusals import CREATION_PROBLEMS, cannot_create, over_limit, too_many_at_once
from conversations.api.requests import NewConversationSerializer, wrong_end
from conversations.insight.conversation_activity import activity_of_new
from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.request import (
    AlreadyTalking,
    CannotCreate,
    ContentionError,
    Creation,
    OverLimit,
    ParticipantSpec,
    ReferenceTaken,
)
from conversations.models import Conversation
from conversations.models.conversation_terms import EndHasPassed, EndTooLate
from smsproxy.api.authentication import caller, service_of
from smsproxy.api.idempotency import Guarded, Once, Replay
from smsproxy.api.problems import Problem
from smsproxy.api.schema import operation
from smsproxy.services.models import Service

CREATION = operation(
    "create_conversation",
    "Create a conversation",
    description="Gives each participant a proxy number, and tells them by text unless `notify` is false. With "
    "`on_existing`: `return`, the answer is 200 with the open conversation of these people, if they have one.",
    request=NewConversationSerializer,
    answers={201: ConversationSerializer, 200: ConversationSerializer},
    problems=[*CREATION_PROBLEMS, "already_talking", "over_limit", "reference_taken"],
    creates=True,
)


def answer_creation(request: Request) -> Response:
    """Create the conversation that is asked for. Raises Problem or, for a repeat, Replay."""
    asked = NewConversationSerializer(data=request.data)
    asked.is_valid(raise_exception=True)
    guard = Guarded(Once.of(request, asked.asked()), partial(_answer, request=request))
    people, terms = asked.people(), asked.terms(service_of_caller(request))
    with refusals_as_problems(people):
        try:
            create_conversation(people, terms, created_by=caller(request), guard=guard)
        except Replay as replay:
            raise _completed(replay, request) from None
    return guard.response


@contextmanager
def refusals_as_problems(people: Sequence[ParticipantSpec]) -> Iterator[None]:
    """Raise the problem of each refusal of a creation of these people."""
    try:
        yield
    except OverLimit as error:
        raise over_limit(error.refusal) from None
    except ContentionError:
        raise too_many_at_once() from None
    except (EndHasPassed, EndTooLate) as error:
        raise ValidationError({"expires_at": wrong_end(error)}) from None
    except (AlreadyTalking, ReferenceTaken) as error:
        raise taken(error) from None
    except CannotCreate as error:
        raise cannot_create(error, people[error.position].label) from None


def service_of_caller(request: Request) -> Service:
    """Return the service of the key, with the pool that is its default."""
    return Service.objects.select_related("pool").get(pk=service_of(request))


def _answer(creation: Creation, request: Request) -> tuple[int, Any, str]:
    conversation, is_new, confirmed = creation
    if is_new:
        set_activity(conversation, activity_of_new(confirmed, conversation.created_at))
    return 201 if is_new else 200, ConversationSerializer(conversation).data, _url(conversation, request)


def _url(conversation: Conversation, request: Request) -> str:
    return reverse("conversation", kwargs={"public_id": conversation.public_id}, request=request)


def _completed(replay: Replay, request: Request) -> Replay:
    """Return the replay with the conversation as it is now, if its first answer was not kept."""
    if not replay.has_body:
        public_id = replay.record.location.rstrip("/").rpartition("/")[2]
        ours = Conversation.objects.with_participants().filter(service=replay.record.service_id)
        conversation = ours.filter(public_id=public_id).first()
        if conversation is not None:
            replay.answer.data = ConversationSerializer(conversation).data
            replay.answer["Location"] = _url(conversation, request)
    return replay


def taken(error: AlreadyTalking | ReferenceTaken) -> Problem:
    """Return the problem that names the conversation in the way of the new one."""
    title, detail, code, pointer = (
        (
            "These people already talk",
            "An open conversation has exactly these participants. Use it, or ask for «on_existing»: «new».",
            "already_talking",
            "/on_existing",
        )
        if isinstance(error, AlreadyTalking)
        else (
            "The reference is taken",
            "An open conversation has this reference. Use that conversation, close it, or choose another reference.",
            "reference_taken",
            "/reference",
        )
    )
    return Problem(
        409,
        title,
        detail,
        code=code,
        errors=[{"pointer": pointer, "code": code, "detail": detail}],
        extra={"conversation_id": str(error.conversation.public_id)},
    )
