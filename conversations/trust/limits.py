"""Limits of people, conversations and API keys. The settings say how much, `LimitUsage` counts.

A limit is charged in the transaction of what it limits, so that a refused or repeated request costs nothing.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from conversations.models import LimitScope, LimitUsage
from conversations.models.limit_usage import Charge, Refusal
from numbers.models import RealNumber
from smsproxy.api.models import ApiKey


def message_charges(person_id: int, conversation_id: int) -> Sequence[Charge]:
    """Return what a message of this person in this conversation uses, if it is passed on."""
    return (Charge(LimitScope.CONVERSATION, conversation_id), Charge(LimitScope.PERSON, person_id))


def may_answer_help(person: RealNumber) -> bool:
    """Charge an answer to HELP. Return False if this person has had enough of them for now."""
    return LimitUsage.objects.consume([Charge(LimitScope.KEYWORD_ANSWERS, person.pk)]) is None


def who_gets_a_confirmation(people: Collection[RealNumber], *, at: datetime) -> set[int]:
    """Charge a confirmation to each of these people. Return the ids of those who have not had enough of them today."""
    charges = [Charge(LimitScope.CONFIRMATIONS, person.pk) for person in people]
    return {charge.subject_id for charge in LimitUsage.objects.consume_each(charges, at=at)}


def refuse_creation(key: ApiKey, newcomers: int) -> Refusal | None:
    """Return why this key may not create a conversation with these newcomers now. Charge nothing."""
    return LimitUsage.objects.refusal(_creation_charges(key, newcomers))


def charge_creation(key: ApiKey, newcomers: int, *, at: datetime) -> Refusal | None:
    """Charge a new conversation and its newcomers. Return the refusal if a limit is used up.

    The caller must then undo its transaction: one of the limits may have been charged.
    """
    charges = _creation_charges(key, newcomers)
    charged = LimitUsage.objects.consume_each(charges, at=at)
    refused = [charge for charge in charges if charge not in charged]
    return LimitUsage.objects.refusal_of(refused, at=at) if refused else None


def refuse_newcomer(key: ApiKey) -> Refusal | None:
    """Return why this key may not add a person whom we do not know now. Charge nothing."""
    return LimitUsage.objects.refusal([Charge(LimitScope.NEW_PEOPLE, key.pk)])


def charge_newcomer(key: ApiKey, *, at: datetime) -> Refusal | None:
    """Charge a person whom we did not know, added to a conversation. Return the refusal if the limit is used up."""
    return LimitUsage.objects.consume([Charge(LimitScope.NEW_PEOPLE, key.pk)], at=at)


def _creation_charges(key: ApiKey, newcomers: int) -> Sequence[Charge]:
    return (Charge(LimitScope.CREATIONS, key.pk), Charge(LimitScope.NEW_PEOPLE, key.pk, newcomers))
