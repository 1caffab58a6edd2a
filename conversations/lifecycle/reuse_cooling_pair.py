"""Give two people the numbers of their last conversation again while these cool down.

The numbers stand for the same two people, so a late message cannot reach a stranger. A person who meets the same
counterpart every day needs one number for that, not one for each day of the cool-down.
"""

from collections.abc import Mapping, Sequence

from conversations.lifecycle.cut_cool_down import without_unsettled
from conversations.models import ConversationState, Participant
from numbers.assignment.choose import eligible_numbers
from numbers.assignment.policy import AssignmentPolicy, Stickiness
from numbers.models import RealNumber, VirtualNumber


def reusable_pairs(
    people: Sequence[RealNumber],
    policy: AssignmentPolicy,
    named: Mapping[int, VirtualNumber],
    *,
    service_id: int | None,
) -> list[Participant]:
    """Return the two participants of these people's last conversation in this service, if its numbers can be reused.

    They are in the order of the people. A late text of a conversation of another service is not for this one.

    All of this must hold; otherwise return an empty list:
    - These two people were alone in the conversation. It has ended and cools down.
    - Nothing of these pairs is unsettled, in or out.
    - The policy allows these numbers, or the request names them.

    named: by the id of a person, the only number that they may get. It is in service.
    """
    if len(people) != 2 or policy.stickiness != Stickiness.STICKY:
        return []
    one, other = people
    together = one.participants.together_with(other).filter(conversation__service=service_id)
    last = together.values("conversation")[:1]
    pairs = {
        pair.real_number_id: pair
        for pair in Participant.objects.current()
        .filter(conversation__in=last)
        .select_related("conversation", "proxy_number")
    }
    if pairs.keys() != {one.pk, other.pk}:
        return []
    theirs = [pairs[person.pk] for person in people]
    cool_down = all(pair.release_at is not None and pair.released_at is None for pair in theirs)
    is_closed = theirs[0].conversation.state == ConversationState.CLOSED
    settled = without_unsettled(Participant.objects.filter(pk__in=[pair.pk for pair in theirs]))
    if not (is_closed and cool_down) or settled.count() != len(theirs):
        return []
    can_be_given = all(
        named[person.pk] == pair.proxy_number
        if person.pk in named
        else eligible_numbers(person, policy).filter(pk=pair.proxy_number_id).exists()
        for person, pair in zip(people, theirs, strict=True)
    )
    return theirs if can_be_given else []
