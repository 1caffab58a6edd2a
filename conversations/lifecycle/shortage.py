"""Explain and record a shortage: no number is free for a participant."""

from collections.abc import Sequence

from django.db import transaction

from conversations.lifecycle.request import NoNumberFree
from numbers.assignment.choose import NumberDemand, demand_of, sender_countries
from numbers.assignment.policy import AssignmentPolicy
from numbers.assignment.sides import demand_of_side
from numbers.models import RealNumber, Shortage, ShortageCount


def shortage_error(position: int, person: RealNumber, policy: AssignmentPolicy) -> NoNumberFree:
    """Return the error that says how many numbers could serve this person, and why none is free."""
    need = demand_of(person, policy)
    return NoNumberFree(
        position,
        "no_number_free",
        _why(person, policy, need),
        country=person.country,
        need=need,
        advice="Add numbers: manage.py provision_numbers" + (f" --pool {policy.pool.name}" if policy.pool else ""),
    )


def shortage_error_of_side(position: int, members: Sequence[RealNumber], policy: AssignmentPolicy) -> NoNumberFree:
    """Return the error that says why no number is free for all of these people, who share one."""
    need = demand_of_side(members, policy)
    why = (
        f"no virtual number is free: the {len(members)} participants of its side share one. {need.able} can text them "
        f"all, and of these {need.in_use} serve other conversations of one of them, open or cooling down, and "
        f"{need.full} have no place for all of them"
    )
    return NoNumberFree(position, "no_number_free", why, country=members[0].country, need=need)


@transaction.atomic
def record_shortage(error: NoNumberFree, number: str, policy: AssignmentPolicy) -> None:
    """Store the shortage as an event and count it. number: the person's, E.164.

    Call it after the failed transaction has rolled back, or the event is lost with it.
    """
    Shortage.objects.create(
        pool=policy.pool,
        country=error.country,
        real_number=RealNumber.objects.with_number(number).first(),
        eligible_count=error.need.able,
        in_use=error.need.in_use,
        needed=error.need.needed,
        next_release_at=error.need.next_release_at,
        reason=error.for_operator[:300],
    )
    # The last step: concurrent shortages wait for this row until the transaction ends.
    ShortageCount.objects.add_one(policy.pool, error.country)


def _why(person: RealNumber, policy: AssignmentPolicy, need: NumberDemand) -> str:
    countries = sender_countries(person.country, policy)
    of_countries = ", ".join(countries or ["any country"]) or "its own country, which is unknown"
    pool = f"pool {policy.pool.name}" if policy.pool else "pool"
    if not need.able:
        return (
            f"no virtual number is free: a phone of country {person.country or 'unknown'} needs an active number of "
            f"{of_countries}, and the {pool} has none"
        )
    if need.in_use < need.able:
        return (
            f"no virtual number is free: of the {need.able} that can text this participant (of {of_countries}), "
            f"{need.in_use} serve other conversations of theirs, and the others have as many live participants as a "
            "number may, those of this conversation among them"
        )
    return (
        f"no virtual number is free: each of the {need.able} that can text this participant (of {of_countries}) serves "
        "another conversation of theirs, open or cooling down. Close conversations that are over"
    )
