"""Add a person to an open conversation. The others keep their proxy numbers."""

from conversations.lifecycle.confirmations import confirm
from conversations.lifecycle.newcomer import (
    Newcomer,
    charge_newcomer,
    check_newcomer,
    choose_number,
    count_pair,
    insert_participant,
    join,
    lock_newcomer,
    refuse_among,
)
from conversations.lifecycle.participants import (
    ConversationEnded,
    TooManyParticipants,
    members_of,
    next_position,
    record_change,
)
from conversations.lifecycle.request import ParticipantSpec
from conversations.models import Conversation, Participant
from conversations.models.conversation import MAX_PARTICIPANTS
from conversations.models.participant import MAX_POSITION
from smsproxy.api.idempotency import UNGUARDED, Guard
from smsproxy.api.models import ApiKey
from smsproxy.database.clock import database_now
from smsproxy.events.types import EventType


def add_participant(
    conversation: Conversation,
    spec: ParticipantSpec,
    *,
    notify: bool = True,
    created_by: ApiKey | None = None,
    actor: str = "",
    guard: Guard[Participant] = UNGUARDED,
) -> Participant:
    """Add this person with a proxy number of their own, or of their side, and queue their confirmation.

    Somebody who was in the conversation before may come back, with another position.
    Raises ConversationEnded, AlreadyParticipant, TooManyParticipants, SideNumberTaken, CannotCreate, OverLimit or
    ContentionError, with nothing changed or sent, and what the guard raises.
    """
    guard.raise_if_answered()
    newcomer = check_newcomer(spec, conversation, created_by=created_by)
    return join(
        newcomer,
        conversation,
        lambda: _add(conversation, newcomer, notify=notify, created_by=created_by, actor=actor, guard=guard),
    )


def _add(
    conversation: Conversation,
    newcomer: Newcomer,
    *,
    notify: bool,
    created_by: ApiKey | None,
    actor: str,
    guard: Guard[Participant],
) -> Participant:
    guard.begin()
    spec = newcomer.spec
    person, is_new = lock_newcomer(newcomer)
    conversation.lock()
    now = database_now()
    if not conversation.is_live(now):
        raise ConversationEnded
    members = members_of(conversation)
    refuse_among(person, members, conversation)
    position = next_position(conversation)
    if len(members) >= MAX_PARTICIPANTS or position > MAX_POSITION:
        raise TooManyParticipants
    chosen = choose_number(spec, person, members, conversation, is_new=is_new)
    participant = Participant(
        conversation=conversation,
        position=position,
        label=spec.label,
        side=spec.side,
        one_way=spec.one_way,
        real_number=person,
        proxy_number=chosen.number,
        chosen_by=chosen.preference,
        created_at=now,
    )
    insert_participant(participant, chosen)
    record_change(
        conversation,
        position,
        EventType.PARTICIPANT_ADDED,
        reason=f"participant {position} was added",
        actor=actor,
        proxy_number=chosen.number.number,
    )
    if notify:
        confirm([participant], among=[*members, participant])
    guard.finish(participant)
    charge_newcomer(created_by, is_new=is_new)
    count_pair(chosen, conversation)
    return participant
