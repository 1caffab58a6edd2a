"""Cut a cool-down short: release a pair of an ended conversation early."""

from collections.abc import Mapping

from conversations.models import Conversation, ConversationState, OutboundMessage, OutboundState, Participant
from conversations.models.outbound import OutboundMessageQuerySet
from numbers.assignment.choose import eligible_numbers
from numbers.assignment.policy import AssignmentPolicy
from numbers.models import RealNumber, VirtualNumber
from smsproxy.database.clock import DatabaseNow

# A message in one of these states may still be sent, or is on its way.
_UNSETTLED = (OutboundState.QUEUED, OutboundState.SENDING, OutboundState.UNKNOWN)


def oldest_cooling_pair(
    person: RealNumber, policy: AssignmentPolicy, named: VirtualNumber | None = None
) -> Participant | None:
    """Return this person's cooling pair whose conversation ended first, or None.

    named: consider only the pair with this number. Two kinds of pairs are left alone:
    - A pair whose number was replaced while its conversation is still open.
    - A pair with a message, or a notice, still on its way. It would read as part of the new conversation.
    """
    numbers = VirtualNumber.objects.filter(pk=named.pk) if named else eligible_numbers(person, policy)
    under_way = _under_way(person.pk)
    return (
        person.participants.cooling()
        .filter(conversation__state=ConversationState.CLOSED, proxy_number__in=numbers.values("pk"))
        .exclude(proxy_number__in=under_way.values("sender"))
        .select_related("conversation", "proxy_number")
        .order_by("conversation__closed_at", "pk")
        .first()
    )


def _under_way(person: int) -> OutboundMessageQuerySet:
    """Return the messages to this person (by id) that may still be sent, or are on their way."""
    return OutboundMessage.objects.filter(recipient=person, state__in=_UNSETTLED)


def has_unsettled_messages(participant: Participant) -> bool:
    """Return whether a message or notice from their proxy number to them may still be sent, or is on its way."""
    return _under_way(participant.real_number_id).filter(sender=participant.proxy_number_id).exists()


def release_early(reasons: Mapping[Participant, str]) -> bool:
    """Release these cooling pairs early and record why. Return False if one may no longer be released.

    The caller must then roll back.
    """
    participants = list(reasons)
    # Closing and reopening take the same lock. One order everywhere prevents deadlocks.
    conversations = Conversation.objects.filter(pk__in={each.conversation_id for each in participants})
    states = conversations.select_for_update(no_key=True).order_by("pk").values_list("state", flat=True)
    if ConversationState.OPEN in list(states):
        return False  # Open again. The check below would still pass a pair whose number was replaced.
    if any(map(has_unsettled_messages, participants)):
        return False  # A late message was answered or relayed since the choice.
    cooling = Participant.objects.cooling().filter(pk__in=[each.pk for each in participants])
    if cooling.update(released_at=DatabaseNow()) != len(participants):
        return False
    for each in participants:
        each.conversation.record_event(
            each.conversation.state,
            old_state=each.conversation.state,
            reason=f"the cool-down of participant {each.position} was cut short: {reasons[each]}",
        )
    return True
