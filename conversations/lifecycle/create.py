"""Create a conversation: check the people, give each a proxy number, queue the confirmations. All or nothing."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from conversations.delivery.outbox import queue_confirmations
from conversations.lifecycle.choose_numbers import (
    ChosenNumber,
    Conflict,
    add_participants,
    choose_numbers,
    conflict_on_integrity_error,
    increment_live_counts,
)
from conversations.lifecycle.existing import find_conversation_named, find_conversation_of
from conversations.lifecycle.request import (
    AlreadyTalking,
    CannotCreate,
    ContentionError,
    ConversationSpec,
    EndHasPassed,
    EveryRequestIsNew,
    NoNumberFree,
    OnExisting,
    OptedOut,
    OverLimit,
    ParticipantBlocked,
    ParticipantSpec,
    ReferenceTaken,
    RequestGuard,
)
from conversations.lifecycle.shortage import record_shortage
from conversations.models import Conversation, LimitScope, Participant
from conversations.models.own_texts import text_in
from conversations.trust import limits
from conversations.trust.blocks import find_blocked
from conversations.trust.destinations import DestinationNotAllowed, check_destinations
from conversations.trust.labels import LabelNotAllowed, check_label
from numbers.assignment.policy import AssignmentPolicy
from numbers.lookup import NumberNotValid, look_up, store_results
from numbers.models import Pool, RealNumber, VirtualNumber
from smsproxy.api.models import ApiKey
from smsproxy.carriers.base import LookupResult
from smsproxy.database.clock import database_now
from smsproxy.phone import canonical
from smsproxy.services.models import DEFAULT_SERVICE_ID
from smsproxy.services.texts import TextKind
from smsproxy.states import StaleState

# A concurrent creator may win between our read and our write. After this many conflicts in a row we give up.
_MAX_ATTEMPTS = 50


def create_conversation(
    people: Sequence[ParticipantSpec],
    terms: ConversationSpec | None = None,
    *,
    created_by: ApiKey | None = None,
    guard: RequestGuard | None = None,
) -> Conversation:
    """Create a conversation between these people, with a proxy number for each, and queue the confirmations.

    It belongs to the service of the key, or to the default one. guard: of a request that may be sent again. With
    OnExisting.RETURN, the conversation may be an earlier one.
    Raises CannotCreate, AlreadyTalking, ReferenceTaken, EndHasPassed, OverLimit or ContentionError, with nothing
    created or sent, and what the guard raises.
    """
    terms, guard = terms or ConversationSpec(), guard or EveryRequestIsNew()
    guard.raise_if_answered()
    service_id = (created_by and created_by.service_id) or DEFAULT_SERVICE_ID
    _check_people(people, terms.policy.pool, service_id)
    if created_by is not None:
        _refuse_over_limit(people, service_id)
    answers = _look_up_phones(people, service_id)
    try:
        return _create(people, terms, created_by, guard, answers)
    except NoNumberFree as error:
        record_shortage(error, people[error.position].number, terms.policy)
        raise


def dry_run(
    people: Sequence[ParticipantSpec], policy: AssignmentPolicy, *, service_id: int | None = None
) -> list[ChosenNumber]:
    """Return the numbers that these people would get now, in their order. Create nothing, and pay for no lookup.

    service_id: of the conversation; None: the default service. A creation at the same moment takes these numbers, or
    others of the same rank.
    Raises CannotCreate or ContentionError, as the creation would.
    """
    _check_people(people, policy.pool, service_id or DEFAULT_SERVICE_ID)
    for _ in range(_MAX_ATTEMPTS):
        with suppress(Conflict), transaction.atomic():
            known = RealNumber.objects.by_number(person.number for person in people)
            _refuse_opted_out(people, known)
            rows, newcomers = _real_numbers(people, known)
            chosen = choose_numbers(people, rows, newcomers, policy)
            transaction.set_rollback(True)
            return chosen
    raise ContentionError


def _create(
    people: Sequence[ParticipantSpec],
    terms: ConversationSpec,
    created_by: ApiKey | None,
    guard: RequestGuard,
    answers: dict[str, LookupResult],
) -> Conversation:
    """Choose the numbers, insert the rows and count the pairs, in one transaction. Retry it after a conflict."""
    service_id = (created_by and created_by.service_id) or DEFAULT_SERVICE_ID
    for _ in range(_MAX_ATTEMPTS):
        with suppress(Conflict), transaction.atomic():
            guard.begin()
            known = RealNumber.objects.by_number(person.number for person in people)
            # One creator after another, instead of a conflict at each retry. A STOP waits for them, too. And no part of
            # a long message is stored for a pair between the decision to cut its cool-down short and the release.
            RealNumber.objects.lock(known.values())
            _refuse_opted_out(people, known)
            if existing := _find_existing([known.get(person.number) for person in people], terms, service_id):
                guard.finish(existing, is_new=False)
                return existing
            real_numbers, newcomers = _real_numbers(people, known)
            store_results({person.number: row for person, row in zip(people, real_numbers, strict=True)}, answers)
            _refuse_reference(terms, service_id)
            conversation = _create_row(terms, created_by, service_id)
            chosen = choose_numbers(people, real_numbers, newcomers, terms.policy)
            participants = add_participants(conversation, people, real_numbers, chosen)
            conversation.cache_participants(participants)
            if terms.notify and (template := text_in(conversation, TextKind.CONFIRMATION)):
                _queue_confirmations(participants, template)
            guard.finish(conversation, is_new=True)
            if created_by is not None:
                _charge(created_by.service_id, len(newcomers), conversation.created_at)
            increment_live_counts(chosen, terms.policy)
            return conversation
    raise ContentionError


def _find_existing(
    people: Sequence[RealNumber | None], terms: ConversationSpec, service_id: int
) -> Conversation | None:
    """Return the conversation to return in place of a new one, or None. Raises AlreadyTalking.

    people: None for a person who is new to us. Lock the others first.
    """
    known = [person for person in people if person is not None]
    if terms.on_existing == OnExisting.NEW or len(known) != len(people):
        return None
    found = find_conversation_of(known, service_id=service_id)
    if found is not None and terms.on_existing == OnExisting.REJECT:
        raise AlreadyTalking(found)
    return found


def _refuse_reference(terms: ConversationSpec, service_id: int) -> None:
    """Raise ReferenceTaken if the reference must be unique and is not. Raises Conflict."""
    if not terms.unique_reference:
        return
    try:
        found = find_conversation_named(terms.reference, service_id=service_id)
    except StaleState:
        raise Conflict from None
    if found is not None:
        raise ReferenceTaken(found)


def _check_people(people: Sequence[ParticipantSpec], pool: Pool | None, service_id: int) -> None:
    """Raise CannotCreate if one of these people makes the conversation impossible. Nothing is locked or paid for."""
    _reject_labels(people)
    _reject_duplicates(people)
    _refuse_virtual_numbers(people)
    _refuse_destinations(people, pool)
    _refuse_blocked(people, service_id)


def _reject_labels(people: Sequence[ParticipantSpec]) -> None:
    """Raise CannotCreate if a label could harm the people who read it."""
    for position, person in enumerate(people):
        try:
            check_label(person.label)
        except LabelNotAllowed as error:
            raise CannotCreate(position, error.code, f"{error}", field="label") from None


def _reject_duplicates(people: Sequence[ParticipantSpec]) -> None:
    """Raise CannotCreate if two participants have the same number."""
    first: dict[str, int] = {}
    for position, person in enumerate(people):
        before = first.setdefault(canonical(person.number), position)
        if before != position:
            raise CannotCreate(position, "same_number_twice", f"has the same number as participant {before}")


def _refuse_virtual_numbers(people: Sequence[ParticipantSpec]) -> None:
    """Reject virtual numbers as participants: we would send messages to ourselves without end."""
    ours = VirtualNumber.objects.rented_or_ordered().by_number(person.number for person in people)
    for position, person in enumerate(people):
        if person.number in ours:
            raise CannotCreate(position, "virtual_number", "is one of our own virtual numbers, not a person's")


def _refuse_destinations(people: Sequence[ParticipantSpec], pool: Pool | None) -> None:
    """Raise CannotCreate if no text may go to one of these people. Call it before anything is paid for."""
    try:
        check_destinations([person.number for person in people], pool)
    except DestinationNotAllowed as error:
        raise CannotCreate(error.position, "destination_not_allowed", f"{error}") from None


def _refuse_blocked(people: Sequence[ParticipantSpec], service_id: int) -> None:
    """Reject people who are blocked in the service, before a lookup of them is paid for."""
    if found := find_blocked([person.number for person in people], service_id=service_id):
        raise ParticipantBlocked(*found)


def _refuse_over_limit(people: Sequence[ParticipantSpec], service_id: int | None) -> None:
    """Raise OverLimit if this service may create no conversation now, before anything is paid for.

    `_charge` is exact.
    """
    refusal = limits.refuse_creation(service_id, len(people))
    if refusal and refusal.scope == LimitScope.NEW_PEOPLE:
        known = RealNumber.objects.by_number(person.number for person in people)
        refusal = limits.refuse_creation(service_id, len(people) - len(known))
    if refusal:
        raise OverLimit(refusal)


def _charge(service_id: int | None, newcomers: int, at: datetime) -> None:
    """Charge the limits of the service, or raise OverLimit. Call it late: its other creations wait until the end."""
    if refusal := limits.charge_creation(service_id, newcomers, at=at):
        raise OverLimit(refusal)


def _look_up_phones(people: Sequence[ParticipantSpec], service_id: int) -> dict[str, LookupResult]:
    """Return what the lookup answers, by number. Call it outside the transaction: it may use the network."""
    if settings.LOOKUP != "offline":  # Before the lookups are paid for. The transaction checks it again.
        _refuse_opted_out(people, RealNumber.objects.by_number(person.number for person in people))
    try:
        answers = look_up([person.number for person in people])
    except NumberNotValid as error:
        raise CannotCreate(error.position, "number_not_valid", f"{error}") from None
    if settings.LOOKUP != "offline":
        _refuse_blocked(people, service_id)  # Again: a lookup takes seconds, in which staff may block one of them.
    return answers


def _refuse_opted_out(people: Sequence[ParticipantSpec], known: Mapping[str, RealNumber]) -> None:
    for position, person in enumerate(people):
        if person.number in known and known[person.number].opted_out_at is not None:
            raise OptedOut(position)


def _real_numbers(
    people: Sequence[ParticipantSpec], known: dict[str, RealNumber]
) -> tuple[list[RealNumber], Collection[RealNumber]]:
    """Return the rows of these people, in their order, and those of them that are inserted here. Raises Overtaken."""
    with conflict_on_integrity_error():
        new = RealNumber.objects.add(person.number for person in people if person.number not in known)
    rows = known | new
    return [rows[person.number] for person in people], new.values()


def _create_row(terms: ConversationSpec, created_by: ApiKey | None, service_id: int) -> Conversation:
    """Insert the conversation row and its first event.

    Raises EndHasPassed, and Conflict if a concurrent creator took the unique reference.
    """
    now = database_now()
    expires_at = terms.expires_at if terms.ttl is None else now + timedelta(seconds=terms.ttl)
    if expires_at is not None and expires_at <= now:
        raise EndHasPassed
    with conflict_on_integrity_error():
        conversation = Conversation.objects.create(
            service_id=service_id,
            reference=terms.reference,
            is_reference_unique=terms.unique_reference,
            metadata=terms.metadata,
            language=terms.language,
            texts=None if terms.texts is None else dict(terms.texts),
            notify=terms.notify,
            pool=terms.policy.pool,
            geography=terms.policy.geography,
            stickiness=terms.stickiness,
            on_exhausted=terms.on_exhausted,
            on_existing=terms.on_existing,
            late_messages=terms.late_messages or settings.LATE_MESSAGE_POLICY,
            created_by=created_by,
            created_at=now,
            ttl=terms.ttl,
            expires_at=expires_at,
            idle_ttl=terms.idle_ttl,
            idle_at=now + timedelta(seconds=terms.idle_ttl) if terms.idle_ttl is not None else None,
        )
    conversation.record_event(
        conversation.state, reason="created", actor=f"API key {created_by.name}" if created_by else ""
    )
    return conversation


def _queue_confirmations(participants: Sequence[Participant], template: str) -> None:
    """Queue the confirmations, except to people who have had enough of them today. An event says who got none."""

    def text(to: Participant) -> str:
        others = " and ".join(other.label or "the other person" for other in participants if other is not to)
        return template.replace("{label}", others)

    at = participants[0].created_at
    told = limits.who_gets_a_confirmation([participant.real_number for participant in participants], at=at)
    queue_confirmations(((each, text(each)) for each in participants if each.real_number_id in told), at=at)
    for each in participants:
        if each.real_number_id not in told:
            conversation = each.conversation
            reason = f"participant {each.position} got no confirmation: CONFIRMATIONS_PER_PERSON_DAY"
            conversation.record_event(conversation.state, reason=reason, old_state=conversation.state)
