"""Two people who meet again while the numbers of their last conversation cool down: they have them again at once.

Those numbers stand for the same two, so a late text reaches nobody whom it should not. And somebody who meets the same
person every day needs one number for them, not one for each day of the cool-down.
"""

from collections.abc import Mapping, Sequence

from conversations.lifecycle.cut_cool_down import has_texts_under_way
from conversations.models import ConversationState, Participant
from numbers.assignment.choose import serving
from numbers.assignment.policy import Policy, Stickiness
from numbers.models import RealNumber, VirtualNumber


def pairs_to_have_again(
    people: Sequence[RealNumber], policy: Policy, named: Mapping[int, VirtualNumber]
) -> list[Participant]:
    """Who these two were, in their order, in their last conversation, if its numbers can be theirs again.

    They can if the two were alone in it, it has ended and cools down, no text of it is under way, and the policy would
    give them these numbers, or the request names them. Else: nothing.

    named: by the id of a person, the number that they shall have; it is known to be in service.
    """
    if len(people) != 2 or policy.stickiness != Stickiness.STICKY:
        return []
    one, other = people
    last = one.participants.together_with(other).values("conversation")[:1]
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
    if not (is_closed and cool_down) or any(map(has_texts_under_way, theirs)):
        return []
    can_be_given = all(
        named[person.pk] == pair.proxy_number
        if person.pk in named
        else serving(person, policy).filter(pk=pair.proxy_number_id).exists()
        for person, pair in zip(people, theirs, strict=True)
    )
    return theirs if can_be_given else []
