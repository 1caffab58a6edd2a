"""Cutting a cool-down short: releasing a pair of an ended conversation before its time."""

from collections.abc import Mapping

from django.utils import timezone

from conversations.models import Conversation, ConversationState, OutboundMessage, OutboundState, Participant
from conversations.models.outbound import OutboundMessageQuerySet
from numbers.assignment.choose import serving
from numbers.assignment.policy import Policy
from numbers.models import RealNumber, VirtualNumber

# A text in one of these states may yet leave, or be on its way.
_UNSETTLED = (OutboundState.QUEUED, OutboundState.SENDING, OutboundState.UNKNOWN)


def oldest_cooling(person: RealNumber, policy: Policy, named: VirtualNumber | None = None) -> Participant | None:
    """Of this person's pairs that cool down, the one whose conversation ended the longest ago; None: there is none.

    named: only the pair with this number. A number that was replaced in a conversation which goes on is left to it. So
    is one from which a text to this person is under way, a notice of ours, too: it would read as if it were said in the
    new conversation.
    """
    numbers = VirtualNumber.objects.filter(pk=named.pk) if named else serving(person, policy)
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
    """Texts to this person that may yet leave, or are on their way."""
    return OutboundMessage.objects.filter(recipient=person, state__in=_UNSETTLED)


def has_texts_under_way(participant: Participant) -> bool:
    """From their number to them: a notice of ours, too."""
    return _under_way(participant.real_number_id).filter(sender=participant.proxy_number_id).exists()


def cut_short(reasons: Mapping[Participant, str]) -> bool:
    """Release pairs that cool down before their time, and record why. False: one may not be, any more."""
    participants = list(reasons)
    # Locked as by those who close and reopen them, and in one order: else we could dead-lock with each other.
    conversations = Conversation.objects.filter(pk__in={each.conversation_id for each in participants})
    states = conversations.select_for_update(no_key=True).order_by("pk").values_list("state", flat=True)
    if ConversationState.OPEN in list(states):
        return False  # A number that was replaced in it still cools down.
    if any(map(has_texts_under_way, participants)):
        return False  # A late text has been answered since, or passed on.
    cooling = Participant.objects.cooling().filter(pk__in=[each.pk for each in participants])
    if cooling.update(released_at=timezone.now()) != len(participants):
        return False
    for each in participants:
        each.conversation.record(
            each.conversation.state,
            old_state=each.conversation.state,
            reason=f"the cool-down of participant {each.position} was cut short: {reasons[each]}",
        )
    return True
