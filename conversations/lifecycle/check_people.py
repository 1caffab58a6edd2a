"""Check the people of a conversation, and find or insert their rows. Errors name the position at fault."""

from collections.abc import Collection, Mapping, Sequence

from django.conf import settings

from conversations.lifecycle.choose_numbers import conflict_on_integrity_error
from conversations.lifecycle.request import CannotCreate, OptedOut, ParticipantBlocked, ParticipantSpec
from conversations.trust.blocks import find_blocked
from conversations.trust.destinations import DestinationNotAllowed, check_destinations
from conversations.trust.labels import LabelNotAllowed, check_label
from numbers.lookup import NumberNotValid, look_up
from numbers.models import Pool, RealNumber, VirtualNumber
from smsproxy.carriers.base import LookupResult
from smsproxy.phone import canonical


def check_people(people: Sequence[ParticipantSpec], pool: Pool | None, service_id: int | None) -> None:
    """Raise CannotCreate if one of these people makes the conversation impossible. Nothing is locked or paid for."""
    _reject_labels(people)
    _reject_duplicates(people)
    _refuse_virtual_numbers(people)
    _refuse_destinations(people, pool)
    _refuse_blocked(people, service_id)


def _reject_labels(people: Sequence[ParticipantSpec]) -> None:
    """Raise CannotCreate if a label could harm the people who read it. The name of a side is one, too."""
    for position, person in enumerate(people):
        for field, label in (("label", person.label), ("side", person.side)):
            try:
                check_label(label)
            except LabelNotAllowed as error:
                raise CannotCreate(position, error.code, f"{error}", field=field) from None


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
        raise CannotCreate(error.position, "destination_not_allowed", f"{error}", advice=error.advice) from None


def _refuse_blocked(people: Sequence[ParticipantSpec], service_id: int | None) -> None:
    """Reject people who are blocked in the service, before a lookup of them is paid for."""
    if found := find_blocked([person.number for person in people], service_id=service_id):
        raise ParticipantBlocked(*found)


def look_up_phones(people: Sequence[ParticipantSpec], service_id: int | None) -> dict[str, LookupResult]:
    """Return what the lookup answers, by number. Call it outside the transaction: it may use the network."""
    if settings.LOOKUP != "offline":  # Before the lookups are paid for. The transaction checks it again.
        refuse_opted_out(people, RealNumber.objects.by_number(person.number for person in people))
    try:
        answers = look_up([person.number for person in people])
    except NumberNotValid as error:
        raise CannotCreate(error.position, "number_not_valid", f"{error}") from None
    if settings.LOOKUP != "offline":
        _refuse_blocked(people, service_id)  # Again: a lookup takes seconds, in which staff may block one of them.
    return answers


def refuse_opted_out(people: Sequence[ParticipantSpec], known: Mapping[str, RealNumber]) -> None:
    for position, person in enumerate(people):
        if person.number in known and known[person.number].opted_out_at is not None:
            raise OptedOut(position)


def find_or_insert(
    people: Sequence[ParticipantSpec], known: dict[str, RealNumber]
) -> tuple[list[RealNumber], Collection[RealNumber]]:
    """Return the rows of these people, in their order, and those of them that are inserted here. Raises Conflict."""
    with conflict_on_integrity_error():
        new = RealNumber.objects.add(person.number for person in people if person.number not in known)
    rows = known | new
    return [rows[person.number] for person in people], new.values()
