"""Creating a conversation: check the people, give each a proxy number, queue the confirmations. All or nothing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from conversations.models import Conversation, Participant
from conversations.outbox import queue_notices
from numbers.assignment import best_numbers, sender_countries, serving
from numbers.lookup import NumberNotValid, look_up, remember_answers
from numbers.models import RealNumber, VirtualNumber
from smsproxy.api.models import ApiKey

# Others can be faster than we are between our reading and our writing. So often in a row means that all are taken.
_MOST_TRIES = 50


@dataclass(frozen=True, kw_only=True)
class RequestId:
    """What makes two requests of one caller the same one. key: the caller's name of it; hash: of what it asks for."""

    key: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who shall take part. number: E.164. label: what the others see."""

    number: str
    label: str = ""


class CannotCreate(Exception):
    """The conversation cannot be made because of one participant, and nothing was. Says why, without a number.

    position: the participant's place in the request. code: a slug for programs.
    """

    def __init__(self, position: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.position = position
        self.code = code
        self.detail = detail


class MixedUp(Exception):
    """The caller has used this key before, for a request that asks for something else."""


class NoNumberFree(CannotCreate):
    """Every virtual number that could serve this participant is taken by their other conversations."""


class _Overtaken(Exception):
    """Somebody else has changed what we had read: begin again."""


def create_conversation(
    people: Sequence[Person],
    *,
    reference: str = "",
    ttl: int | None = None,
    idle_ttl: int | None = None,
    notify: bool = True,
    created_by: ApiKey | None = None,
    request_id: RequestId | None = None,
) -> Conversation:
    """A new conversation between these people, its numbers assigned, its confirmations queued.

    ttl: seconds until it ends by itself. idle_ttl: seconds without a text after which it does. None: never.
    request_id: of a request that may be repeated; a repeat makes nothing, and returns what the first one made.
    Raises CannotCreate, and then nothing was created or sent; MixedUp.
    """
    if request_id is None:
        return _create(people, reference, ttl, idle_ttl, notify, created_by, RequestId(key="", hash=""))
    if made := _made_before(created_by, request_id):
        return made
    try:
        return _create(people, reference, ttl, idle_ttl, notify, created_by, request_id)
    except (IntegrityError, NoNumberFree):
        # A repeat at the same moment was faster, and may have taken the last number.
        if made := _made_before(created_by, request_id):
            return made
        raise


def _made_before(created_by: ApiKey | None, request_id: RequestId) -> Conversation | None:
    made = (
        Conversation.objects.with_participants().filter(created_by=created_by, idempotency_key=request_id.key).first()
    )
    if made is not None and made.request_hash != request_id.hash:
        raise MixedUp
    return made


def _create(
    people: Sequence[Person],
    reference: str,
    ttl: int | None,
    idle_ttl: int | None,
    notify: bool,
    created_by: ApiKey | None,
    request_id: RequestId,
) -> Conversation:
    _refuse_repeats(people)
    _refuse_virtual_numbers(people)
    try:
        answers = look_up([person.number for person in people])
    except NumberNotValid as error:
        raise CannotCreate(error.position, "number_not_valid", f"{error}") from None

    for _ in range(_MOST_TRIES):
        with suppress(_Overtaken), transaction.atomic():
            known = RealNumber.objects.known(person.number for person in people)
            if known:
                _wait_for_other_creators(known)
            with _others_may_be_faster():
                new = RealNumber.objects.add(person.number for person in people if person.number not in known)
            numbers = known | new
            remember_answers(numbers, answers)
            conversation = _open(reference, ttl, idle_ttl, created_by, request_id)
            participants = _join(conversation, people, numbers, new)
            if notify and settings.CONFIRMATION_TEXT:
                _queue_confirmations(participants)
            conversation.remember(participants)
            return conversation
    raise NoNumberFree(0, "no_number_free", "no virtual number is free: others were faster with each that was")


def _refuse_repeats(people: Sequence[Person]) -> None:
    first: dict[str, int] = {}
    for position, person in enumerate(people):
        if person.number in first:
            raise CannotCreate(
                position, "same_number_twice", f"has the same number as participant {first[person.number]}"
            )
        first[person.number] = position


def _refuse_virtual_numbers(people: Sequence[Person]) -> None:
    """A virtual number as a participant would make us text ourselves, for ever."""
    ours = set(
        VirtualNumber.objects.in_pool()
        .filter(number__in=[person.number for person in people])
        .values_list("number", flat=True)
    )
    for position, person in enumerate(people):
        if person.number in ours:
            raise CannotCreate(position, "virtual_number", "is one of our own virtual numbers, not a person's")


@contextmanager
def _others_may_be_faster() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise _Overtaken from None


def _wait_for_other_creators(numbers: dict[str, RealNumber]) -> None:
    """Lock these people's rows, in one order everywhere.

    Creators for the same person then come one after the other instead of running into the constraint again and again.
    It is for speed only: the constraint is what keeps a pair from being live twice.
    """
    ids = sorted(number.pk for number in numbers.values())
    list(RealNumber.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk").values_list("pk"))


def _open(
    reference: str, ttl: int | None, idle_ttl: int | None, created_by: ApiKey | None, request_id: RequestId
) -> Conversation:
    now = timezone.now()
    conversation = Conversation.objects.create(
        reference=reference,
        created_by=created_by,
        idempotency_key=request_id.key,
        request_hash=request_id.hash,
        created_at=now,
        expires_at=now + timedelta(seconds=ttl) if ttl is not None else None,
        idle_ttl=idle_ttl,
        idle_at=now + timedelta(seconds=idle_ttl) if idle_ttl is not None else None,
    )
    conversation.record(conversation.state, reason="created", actor=f"API key {created_by.name}" if created_by else "")
    return conversation


def _join(
    conversation: Conversation,
    people: Sequence[Person],
    numbers: dict[str, RealNumber],
    new: dict[str, RealNumber],
) -> list[Participant]:
    """Give each person the best free number. The constraint `one_live_route` decides between concurrent creators."""
    real_numbers = [numbers[person.number] for person in people]
    best_ones = best_numbers(real_numbers, newcomers=new.values())
    participants = []
    for position, (person, real_number, best) in enumerate(zip(people, real_numbers, best_ones, strict=True)):
        if best is None:
            raise NoNumberFree(position, "no_number_free", _why_none_is_free(real_number))
        participants.append(
            Participant(
                conversation=conversation,
                position=position,
                label=person.label,
                real_number=real_number,
                proxy_number=best,
            )
        )
    with _others_may_be_faster():
        Participant.objects.bulk_create(participants)
    # Releasing a number waits for whoever is inserting (numbers/releasing.py): either it sees these rows, or we see
    # here that the number is no longer active.
    given = {participant.proxy_number_id for participant in participants}
    active = VirtualNumber.objects.active().filter(pk__in=given)
    if active.touch() < len(given) and active.count() < len(given):
        raise _Overtaken
    return participants


def _why_none_is_free(number: RealNumber) -> str:
    of_countries = ", ".join(sender_countries(number.country)) or "any country"
    able = serving(number).count()
    if not able:
        return (
            f"no virtual number is free: a phone of country {number.country or 'unknown'} needs an active one of "
            f"{of_countries}, and the pool has none. Add some: manage.py provision_numbers"
        )
    return (
        f"no virtual number is free: each of the {able} that can text this participant (of {of_countries}) serves "
        "another conversation of theirs, open or cooling down. Close conversations, or add numbers to the pool: "
        "manage.py provision_numbers"
    )


def _queue_confirmations(participants: Sequence[Participant]) -> None:
    def text(to: Participant) -> str:
        others = " and ".join(other.label or "the other person" for other in participants if other is not to)
        return settings.CONFIRMATION_TEXT.replace("{label}", others)

    queue_notices((participant, text(participant)) for participant in participants)
