"""Create a conversation: check the people, give each a proxy number, queue the confirmations. All or nothing."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from conversations.lifecycle.check_people import check_people, find_or_insert, look_up_phones, refuse_opted_out
from conversations.lifecycle.choose_numbers import (
    ChosenNumber,
    Conflict,
    add_participants,
    choose_numbers,
    conflict_on_integrity_error,
    increment_live_counts,
)
from conversations.lifecycle.confirmations import confirm
from conversations.lifecycle.existing import find_conversation_named, find_conversation_of
from conversations.lifecycle.request import (
    AlreadyTalking,
    ContentionError,
    ConversationSpec,
    Creation,
    NoNumberFree,
    OnExisting,
    OverLimit,
    ParticipantSpec,
    ReferenceTaken,
)
from conversations.lifecycle.shortage import record_shortage
from conversations.models import Conversation, LimitScope
from conversations.models.conversation_terms import End, check_fixed_end, idle_columns
from conversations.trust import limits
from numbers.lookup import store_results
from numbers.models import RealNumber
from smsproxy.api.idempotency import UNGUARDED, Guard
from smsproxy.api.models import ApiKey
from smsproxy.carriers.base import LookupResult
from smsproxy.database.clock import database_now
from smsproxy.events.record import NewEvent, record
from smsproxy.events.types import EventType
from smsproxy.services.models import DEFAULT_SERVICE_ID
from smsproxy.states import StaleState

# A concurrent creator may win between our read and our write. After this many conflicts in a row we give up.
_MAX_ATTEMPTS = 50


def create_conversation(
    people: Sequence[ParticipantSpec],
    terms: ConversationSpec | None = None,
    *,
    created_by: ApiKey | None = None,
    guard: Guard[Creation] = UNGUARDED,
) -> Conversation:
    """Create a conversation between these people, with a proxy number for each, and queue the confirmations.

    It belongs to the service of the key, or to the default one. guard: of a request that may be sent again. With
    OnExisting.RETURN, the conversation may be an earlier one.
    Raises CannotCreate, AlreadyTalking, ReferenceTaken, EndHasPassed, EndTooLate, OverLimit or ContentionError, with
    nothing created or sent, and what the guard raises.
    """
    terms = terms or ConversationSpec()
    guard.raise_if_answered()
    service_id = (created_by and created_by.service_id) or DEFAULT_SERVICE_ID
    check_people(people, terms.policy.pool, service_id)
    if created_by is not None:
        _refuse_over_limit(people, service_id)
    answers = look_up_phones(people, service_id)
    try:
        return _create(people, terms, created_by, guard, answers)
    except NoNumberFree as error:
        record_shortage(error, people[error.position].number, terms.policy)
        raise


def dry_run(
    people: Sequence[ParticipantSpec], terms: ConversationSpec, *, service_id: int | None = None
) -> list[ChosenNumber]:
    """Return the numbers that these people would get now, in their order. Create nothing, and pay for no lookup.

    service_id: of the conversation; None: the default service. A creation at the same moment takes these numbers, or
    others of the same rank. OnExisting.RETURN has no effect.
    Raises CannotCreate, AlreadyTalking, ReferenceTaken, EndHasPassed, EndTooLate or ContentionError, as the creation
    would.
    """
    service_id = service_id or DEFAULT_SERVICE_ID
    check_people(people, terms.policy.pool, service_id)
    _times_of(terms, database_now())
    for _ in range(_MAX_ATTEMPTS):
        with suppress(Conflict), transaction.atomic():
            known = RealNumber.objects.by_number(person.number for person in people)
            refuse_opted_out(people, known)
            _find_existing([known.get(person.number) for person in people], terms, service_id)
            _refuse_reference(terms, service_id)
            rows, newcomers = find_or_insert(people, known)
            chosen = choose_numbers(people, rows, newcomers, terms.policy, service_id=service_id)
            transaction.set_rollback(True)
            return chosen
    raise ContentionError


def _create(
    people: Sequence[ParticipantSpec],
    terms: ConversationSpec,
    created_by: ApiKey | None,
    guard: Guard[Creation],
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
            refuse_opted_out(people, known)
            if existing := _find_existing([known.get(person.number) for person in people], terms, service_id):
                guard.finish(Creation(existing, is_new=False))
                return existing
            real_numbers, newcomers = find_or_insert(people, known)
            store_results({person.number: row for person, row in zip(people, real_numbers, strict=True)}, answers)
            _refuse_reference(terms, service_id)
            conversation = _create_row(terms, created_by, service_id)
            chosen = choose_numbers(people, real_numbers, newcomers, terms.policy, service_id=service_id)
            participants = add_participants(conversation, people, real_numbers, chosen)
            conversation.cache_participants(participants)
            confirmed: Collection[int] = ()
            if terms.notify:
                confirmed = confirm(participants, among=participants)
            record(
                NewEvent(
                    type=EventType.CONVERSATION_CREATED,
                    service_id=conversation.service_id,
                    conversation_id=conversation.pk,
                    data={"parties": len(participants)},
                )
            )
            guard.finish(Creation(conversation, is_new=True, confirmed=confirmed))
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


def _refuse_reference(terms: ConversationSpec, service_id: int | None) -> None:
    """Raise ReferenceTaken if the reference must be unique and is not. Raises Conflict."""
    if not terms.unique_reference:
        return
    try:
        found = find_conversation_named(terms.reference, service_id=service_id)
    except StaleState:
        raise Conflict from None
    if found is not None:
        raise ReferenceTaken(found)


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


def _times_of(terms: ConversationSpec, now: datetime) -> dict[str, Any]:
    """Return the columns of the times of a conversation that begins now. Raises EndHasPassed or EndTooLate."""
    if terms.ttl is None and terms.expires_at is not None:
        check_fixed_end(terms.expires_at, now)
    return End(ttl=terms.ttl, expires_at=terms.expires_at).columns(now) | idle_columns(terms.idle_ttl, now)


def _create_row(terms: ConversationSpec, created_by: ApiKey | None, service_id: int | None) -> Conversation:
    """Insert the conversation row and its first event.

    Raises EndHasPassed or EndTooLate, and Conflict if a concurrent creator took the unique reference.
    """
    now = database_now()
    times = _times_of(terms, now)
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
            **times,
        )
    conversation.record_event(conversation.state, reason="created", actor=created_by.actor if created_by else "")
    return conversation
