"""What the phones page can do: send a text, begin, end and reopen a conversation, make the network fail."""

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from conversations.lifecycle.change import close_conversation
from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.reopen import reopen_conversation
from conversations.lifecycle.request import (
    CannotCreate,
    ContentionError,
    ConversationSpec,
    NoNumberFree,
    ParticipantSpec,
    ReferenceTaken,
)
from conversations.models import Conversation, Participant
from conversations.phones.requests import Refusal, read_handset, read_object, read_people, read_switch, read_text
from conversations.phones.switches import MAX_LEFT, repair_network, use_once_more
from numbers.assignment.policy import AssignmentPolicy, ExhaustionPolicy
from numbers.models import VirtualNumber
from smsproxy.api import problems
from smsproxy.simulator.models import SimulatedHandset
from smsproxy.simulator.network import WebhookNotDelivered, send_from_handset
from smsproxy.states import StaleState

ACTOR = "phones page"
# Numbers that the regulator reserves for fiction, for people who are new. The pool of the demo has +4477009001…
NEW_NUMBERS = [f"+4477009000{index:02}" for index in range(1, 99)]
FIRST_RIDE = 42

View = Callable[..., HttpResponse]


def answering_refusals(view: View) -> View:
    """Answer a Refusal of the view as a problem document."""

    @require_POST
    @wraps(view)
    def answer(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, **kwargs)
        except Refusal as refusal:
            body = problems.body(refusal.status, refusal.detail)
            return JsonResponse(body, status=refusal.status, content_type=problems.CONTENT_TYPE)

    return answer


@answering_refusals
def texts(request: HttpRequest) -> HttpResponse:
    """Send a text from a phone: {"handset": id, "number": the virtual number of a thread on it, "text": "…"}."""
    body = read_object(request)
    handset = read_handset(body.get("handset"))
    return _send(handset, _read_number(handset, body.get("number")), read_text(body.get("text")))


@answering_refusals
def stray(request: HttpRequest) -> HttpResponse:
    """Text a virtual number that serves no conversation of this person: {"handset": id}. It waits in the inbox."""
    handset = read_handset(read_object(request).get("handset"))
    theirs = Participant.objects.unreleased().filter(real_number__number_hash=handset.number_hash)
    others = VirtualNumber.objects.serving().exclude(pk__in=theirs.values("proxy_number")).order_by("number")
    if not others:
        raise Refusal(409, _("Every virtual number serves this person in a conversation. End one of them and wait."))
    return _send(handset, others[0].number, _("Hello? I left my umbrella in your car."))


@answering_refusals
def create(request: HttpRequest) -> HttpResponse:
    """Begin a conversation: {"people": [{"handset": id, or null for a new person, "label": "Rider"}, …]}."""
    people = read_people(read_object(request).get("people"))
    free = _free_numbers(sum(handset is None for handset, _label in people))
    specs = [
        ParticipantSpec(number=handset.number if handset else free.pop(), label=label) for handset, label in people
    ]
    last = Conversation.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    # When all numbers of a person are in use or cool down, the longest cool-down ends early: the demo has few numbers.
    soft = AssignmentPolicy(on_exhausted=ExhaustionPolicy.SOFT)
    terms = ConversationSpec(reference=f"ride-{FIRST_RIDE + last}", policy=soft, on_exhausted=soft.on_exhausted)
    try:
        conversation = create_conversation(specs, terms)
    except NoNumberFree as error:
        who = specs[error.position].label or _("One person")
        detail = _(
            "%(who)s uses every virtual number in other conversations, open or just ended. "
            "End one of them and wait a moment."
        )
        raise Refusal(409, detail % {"who": who}) from None
    except (CannotCreate, ContentionError) as error:
        raise Refusal(409, _why(error, [spec.label for spec in specs])) from None
    phones = [_named_phone(spec.number, spec.label).pk for spec in specs]
    return JsonResponse({"id": str(conversation.public_id), "phones": phones}, status=201)


@answering_refusals
def end(request: HttpRequest, *, public_id: uuid.UUID) -> HttpResponse:
    """End the conversation. One that has ended stays as it is."""
    close_conversation(_find(public_id), reason="closed", permanent=False, actor=ACTOR)
    return HttpResponse(status=204)


@answering_refusals
def reopen(request: HttpRequest, *, public_id: uuid.UUID) -> HttpResponse:
    """Reopen the conversation. One that is open stays as it is."""
    conversation = _find(public_id)
    if conversation.is_live():
        return HttpResponse(status=204)
    try:
        reopen_conversation(conversation, actor=ACTOR)
    except StaleState:
        detail = _("It cannot be reopened: other conversations have its virtual numbers now. Start a new one.")
        raise Refusal(409, detail) from None
    except (CannotCreate, ContentionError, ReferenceTaken) as error:
        raise Refusal(409, _why(error, [each.name for each in conversation.current_participants])) from None
    return HttpResponse(status=204)


@answering_refusals
def add_fault(request: HttpRequest) -> HttpResponse:
    """Let the network fail once more: {"kind": "delay"}."""
    if not use_once_more(read_switch(read_object(request).get("kind"))):
        detail = _("%(most)s such texts wait already. Send some first.") % {"most": MAX_LEFT}
        raise Refusal(409, detail)
    return HttpResponse(status=204)


@answering_refusals
def clear_faults(request: HttpRequest) -> HttpResponse:
    """End all faults."""
    repair_network()
    return HttpResponse(status=204)


def _send(handset: SimulatedHandset, number: str, text: str) -> HttpResponse:
    try:
        return JsonResponse({"id": send_from_handset(handset, number, text).pk}, status=201)
    except WebhookNotDelivered as error:
        raise Refusal(409, f"The text was not sent: {error}.") from None


def _read_number(handset: SimulatedHandset, value: object) -> str:
    # Compared here: JSON can hold strings that the database rejects.
    known = set(handset.texts.values_list("virtual_number", flat=True))
    places = Participant.objects.unreleased().filter(real_number__number_hash=handset.number_hash)
    known.update(places.values_list("proxy_number__number", flat=True))
    if not isinstance(value, str) or value not in known:
        raise Refusal(400, "number: expected the virtual number of a thread on this phone.")
    return value


def _find(public_id: uuid.UUID) -> Conversation:
    found = Conversation.objects.filter(public_id=public_id).first()
    if found is None:
        raise Refusal(404, _("This conversation does not exist. Reload the page."))
    return found


def _free_numbers(how_many: int) -> list[str]:
    used = {handset.number for handset in SimulatedHandset.objects.all()}
    free = [number for number in NEW_NUMBERS if number not in used][:how_many]
    if len(free) < how_many:
        raise Refusal(409, _("There are no more phones for new people. Choose people who have one."))
    return free[::-1]


def _named_phone(number: str, label: str) -> SimulatedHandset:
    handset = SimulatedHandset.objects.get_or_create_handset(number)
    if label and not handset.name:
        SimulatedHandset.objects.filter(pk=handset.pk).update(name=label)
    return handset


def _why(error: Exception, names: list[str]) -> str:
    if isinstance(error, CannotCreate):
        return f"{names[error.position]} {error.detail}."
    if isinstance(error, ReferenceTaken):
        return _("Another open conversation has the same reference.")
    return _("Another request came first. Try again.")
