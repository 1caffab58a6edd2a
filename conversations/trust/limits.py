"""Limits of people, conversations and services. The service or the settings say how much, `LimitUsage` counts.

A limit is charged in the transaction of what it limits, so that a refused or repeated request costs nothing.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from conversations.models import LimitScope, LimitUsage
from conversations.models.limit_usage import Charge, Refusal, messages_pair, messages_subject
from numbers.models import RealNumber
from smsproxy.services.known import known_service
from smsproxy.services.models import default_service_id

# The columns of a service with its limits of the short and of the long period. "": the service has none of its own.
_COLUMNS = {
    LimitScope.PERSON: ("messages_per_person_minute", "messages_per_person_day"),
    LimitScope.CONVERSATION: ("messages_per_conversation_minute", ""),
    LimitScope.CREATIONS: ("creations_per_minute", "creations_per_day"),
    LimitScope.NEW_PEOPLE: ("new_people_per_minute", "new_people_per_day"),
}


def charge_of(scope: LimitScope, subject_id: int, service_id: int | None, cost: int = 1) -> Charge:
    """Return the charge of a subject in this service, with the limits of the service."""
    short, long = _COLUMNS[scope]
    limits = known_service(service_id).limits
    return Charge(scope, subject_id, cost, (limits.get(short), limits.get(long)))


def stored_charge(usage: LimitUsage, service_of_conversation: int | None) -> Charge:
    """Return one use more of a stored subject, with the limits of its service."""
    scope = LimitScope(usage.scope)
    service_id = {
        LimitScope.PERSON: messages_pair(usage.subject_id)[0],
        LimitScope.CONVERSATION: service_of_conversation,
        LimitScope.CREATIONS: usage.subject_id,
        LimitScope.NEW_PEOPLE: usage.subject_id,
    }.get(scope)
    if service_id is None:
        return Charge(scope, usage.subject_id)
    return charge_of(scope, usage.subject_id, service_id)


def message_charges(person_id: int, conversation_id: int, service_id: int | None) -> Sequence[Charge]:
    """Return what a message of this person in this conversation of the service uses, if it is passed on."""
    return (
        charge_of(LimitScope.CONVERSATION, conversation_id, service_id),
        charge_of(LimitScope.PERSON, messages_subject(service_id, person_id), service_id),
    )


def api_message_charges(
    author_id: int | None, conversation_id: int, service_id: int | None, recipients: int
) -> Sequence[Charge]:
    """Return what a text of the marketplace to this many recipients uses. author_id: the person in whose name."""
    of_service = Charge(LimitScope.API_MESSAGES, service_id or default_service_id(), recipients)
    if author_id is None:
        return (of_service, charge_of(LimitScope.CONVERSATION, conversation_id, service_id))
    return (of_service, *message_charges(author_id, conversation_id, service_id))


def may_answer_help(person: RealNumber) -> bool:
    """Charge an answer to HELP. Return False if this person has had enough of them for now."""
    return LimitUsage.objects.consume([Charge(LimitScope.KEYWORD_ANSWERS, person.pk)]) is None


def who_gets_a_confirmation(people: Collection[RealNumber], *, at: datetime) -> set[int]:
    """Charge a confirmation to each of these people. Return the ids of those who have not had enough of them today."""
    charges = [Charge(LimitScope.CONFIRMATIONS, person.pk) for person in people]
    return {charge.subject_id for charge in LimitUsage.objects.consume_each(charges, at=at)}


def refuse_creation(service_id: int | None, newcomers: int) -> Refusal | None:
    """Return why this service may not create a conversation with these newcomers now. Charge nothing."""
    return LimitUsage.objects.refusal(_creation_charges(service_id, newcomers))


def charge_creation(service_id: int | None, newcomers: int, *, at: datetime) -> Refusal | None:
    """Charge a new conversation and its newcomers. Return the refusal if a limit is used up.

    The caller must then undo its transaction: one of the limits may have been charged.
    """
    charges = _creation_charges(service_id, newcomers)
    charged = LimitUsage.objects.consume_each(charges, at=at)
    refused = [charge for charge in charges if charge not in charged]
    return LimitUsage.objects.refusal_of(refused, at=at) if refused else None


def refuse_newcomer(service_id: int | None) -> Refusal | None:
    """Return why this service may not add a person whom we do not know now. Charge nothing."""
    return LimitUsage.objects.refusal([_newcomers_charge(service_id, 1)])


def charge_newcomer(service_id: int | None, *, at: datetime) -> Refusal | None:
    """Charge a person whom we did not know, added to a conversation. Return the refusal if the limit is used up."""
    return LimitUsage.objects.consume([_newcomers_charge(service_id, 1)], at=at)


def _creation_charges(service_id: int | None, newcomers: int) -> Sequence[Charge]:
    subject_id = service_id or default_service_id()
    return (charge_of(LimitScope.CREATIONS, subject_id, service_id), _newcomers_charge(service_id, newcomers))


def _newcomers_charge(service_id: int | None, newcomers: int) -> Charge:
    return charge_of(LimitScope.NEW_PEOPLE, service_id or default_service_id(), service_id, newcomers)
