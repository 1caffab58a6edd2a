"""Cut a cool-down short: release a pair of an ended conversation early."""

from collections.abc import Mapping
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef

from conversations.models import Conversation, ConversationState, LongMessage, OutboundMessage, Participant
from conversations.models.outbound_state import UNSETTLED
from conversations.models.participant import ParticipantQuerySet
from numbers.assignment.choose import eligible_numbers
from numbers.assignment.policy import AssignmentPolicy
from numbers.models import RealNumber, VirtualNumber
from smsproxy.database.clock import DatabaseNow, database_now


def oldest_cooling_pair(
    person: RealNumber, policy: AssignmentPolicy, named: VirtualNumber | None = None
) -> Participant | None:
    """Return this person's cooling pair whose conversation of the policy's service ended first, or None.

    A late text of another service's conversation is not for this one.
    named: consider only the pair with this number. Three kinds of pairs are left alone:
    - A pair that has cooled down for less than SOFT_COOL_DOWN_SECONDS.
    - A pair whose number was replaced while its conversation is still open.
    - A pair with something unsettled, in or out. See `without_unsettled`.
    """
    numbers = VirtualNumber.objects.filter(pk=named.pk) if named else eligible_numbers(person, policy)
    cooling: ParticipantQuerySet = person.participants.cooling()
    if policy.service_id is not None:
        cooling = cooling.filter(conversation__service=policy.service_id)
    return (
        without_unsettled(cooling)
        .filter(
            conversation__state=ConversationState.CLOSED,
            conversation__closed_at__lte=database_now() - timedelta(seconds=settings.SOFT_COOL_DOWN_SECONDS),
            proxy_number__in=numbers.values("pk"),
        )
        .select_related("conversation", "proxy_number")
        .order_by("conversation__closed_at", "pk")
        .first()
    )


def without_unsettled(pairs: ParticipantQuerySet) -> ParticipantQuerySet:
    """Return those of these pairs for which nothing is unsettled. Three things are:

    - A message or a notice to the person from this number, or in the ended conversation: it may have left from this
      number before that was replaced. It would read as part of the new conversation.
    - A relay of a message that the person wrote in the ended conversation. If it is lost, the pair must tell them so.
    - A long message that waits for parts. It belongs to the ended conversation.
    """
    unsettled = OutboundMessage.objects.filter(state__in=UNSETTLED)
    person, number, conversation = OuterRef("real_number"), OuterRef("proxy_number"), OuterRef("conversation")
    return pairs.filter(
        ~Exists(unsettled.filter(recipient=person, sender=number)),
        ~Exists(unsettled.filter(recipient=person, conversation=conversation)),
        ~Exists(unsettled.filter(conversation=conversation, inbound__sender=person)),
        ~Exists(LongMessage.objects.filter(sender=person, virtual_number=number, closed_at=None)),
    )


def release_early(reasons: Mapping[Participant, str], *, holding: int | None = None) -> bool:
    """Release these cooling pairs early and record why. Return False if one may not be released now.

    The caller must then roll back. holding: the id of a conversation that the caller has locked.
    """
    participants = list(reasons)
    pks = {each.conversation_id for each in participants}
    # Closing and reopening take the same lock. To wait for an earlier conversation than the one that the caller holds
    # would be against the order of locks.
    is_in_order = holding is None or min(pks) > holding
    rows = Conversation.objects.filter(pk__in=pks).locked(skip_locked=not is_in_order)
    states = list(rows.values_list("state", flat=True))
    if len(states) < len(pks) or ConversationState.OPEN in states:
        return False  # Open again. The check below would still pass a pair whose number was replaced.
    pairs = Participant.objects.cooling().filter(pk__in=[each.pk for each in participants])
    # Since the choice, a late message may have been answered or relayed, or a part of a long one may have arrived.
    if without_unsettled(pairs).count() != len(participants):
        return False
    if pairs.update(released_at=DatabaseNow()) != len(participants):
        return False
    for each in participants:
        each.conversation.record_event(
            each.conversation.state,
            old_state=each.conversation.state,
            reason=f"the cool-down of participant {each.position} was cut short: {reasons[each]}",
        )
    return True
