"""Choose the number that replaces a participant's. The members of a side get one, if one is free for all of them."""

from collections import Counter
from collections.abc import Sequence

from conversations.models import Participant
from numbers.assignment.choose import Assignment, assign_numbers, can_text
from numbers.assignment.policy import AssignmentPolicy
from numbers.assignment.sides import assign_with_sides
from numbers.models import RealNumber, VirtualNumber


def best_replacement(
    participant: Participant, successors: Sequence[VirtualNumber], given: Counter[int]
) -> Assignment | None:
    """Return the best number for this participant in place of their present one, or None.

    successors: the only numbers to use; empty for any. given: by the id of a number, people who are to get it and are
    not yet in its count. The number returned is added to it.
    """
    person, policy = participant.real_number, participant.conversation.policy
    able = [number for number in successors if can_text(number, person)]
    if successors and not able:
        return None
    team = _rest_of_side(participant)
    moved = {each.proxy_number for each in team if each.proxy_number_id != participant.proxy_number_id}
    for number in moved:
        is_allowed = number in able if successors else can_text(number, person)
        if is_allowed and (best := assign_numbers([person], policy, named={person.pk: number}, given=given)[0]):
            return best
    waiting = [each.real_number for each in team if each.proxy_number_id == participant.proxy_number_id]
    together = _best_for_all([person, *waiting], policy, able, given)
    return together or (_best_for_all([person], policy, able, given) if waiting else None)


def _best_for_all(
    people: Sequence[RealNumber], policy: AssignmentPolicy, able: Sequence[VirtualNumber], given: Counter[int]
) -> Assignment | None:
    """Return the best number that all of these people can have, for the first of them. able: see `successors`."""
    wishes = [number for number in able if all(can_text(number, person) for person in people)]
    if able and not wishes:
        return None
    named_ones = [{person.pk: wish for person in people} for wish in wishes]
    for named in named_ones or [{}]:
        [best, *_] = assign_with_sides(people, ["side"] * len(people), policy, named=named, given=given.copy())
        if best is not None:
            given[best.number.pk] += 1
            return best
    return None


def _rest_of_side(participant: Participant) -> Sequence[Participant]:
    if not participant.side:
        return []
    return [other for other in participant.others() if other.side == participant.side]
