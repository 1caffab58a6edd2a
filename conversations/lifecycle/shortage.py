"""When no number is free for somebody: cutting a cool-down short, or saying exactly what is missing."""

from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from conversations.lifecycle.request import NoNumberFree
from conversations.models import Conversation, ConversationState, OutboundMessage, OutboundState, Participant
from conversations.models.outbound import OutboundMessageQuerySet
from numbers.assignment.choose import Need, need_of, sender_countries, serving
from numbers.assignment.policy import Policy
from numbers.models import RealNumber, Shortage, ShortageCount, VirtualNumber

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


def no_number_free(position: int, person: RealNumber, policy: Policy) -> NoNumberFree:
    """The error that says why: which numbers could serve this person, and what of them is used up."""
    need = need_of(person, policy)
    return NoNumberFree(position, "no_number_free", _why(person, policy, need), country=person.country, need=need)


@transaction.atomic
def note_shortage(error: NoNumberFree, number: str, policy: Policy) -> None:
    """Keep it as an event, and count it. Call it outside the transaction that failed. number: the person's, E.164."""
    Shortage.objects.create(
        pool=policy.pool,
        country=error.country,
        real_number=RealNumber.objects.with_number(number).first(),
        able=error.need.able,
        in_use=error.need.in_use,
        needed=error.need.needed,
        next_release_at=error.need.next_release_at,
        reason=error.detail[:300],
    )
    # The last step, since others wait for this row until the transaction ends.
    ShortageCount.objects.add_one(policy.pool, error.country)


def _why(person: RealNumber, policy: Policy, need: Need) -> str:
    countries = sender_countries(person.country, policy)
    of_countries = ", ".join(countries or ["any country"]) or "its own country, which is not known"
    pool, option = (f"pool {policy.pool.name}", f" --pool {policy.pool.name}") if policy.pool else ("pool", "")
    if not need.able:
        return (
            f"no virtual number is free: a phone of country {person.country or 'unknown'} needs an active one of "
            f"{of_countries}, and the {pool} has none. Add some: manage.py provision_numbers{option}"
        )
    if need.in_use < need.able:
        return (
            f"no virtual number is free: of the {need.able} that can text this participant (of {of_countries}), "
            f"{need.in_use} serve other conversations of theirs, and the others have as many live participants as a "
            f"number may, those of this conversation among them. Add numbers to the {pool}: "
            f"manage.py provision_numbers{option}"
        )
    return (
        f"no virtual number is free: each of the {need.able} that can text this participant (of {of_countries}) serves "
        f"another conversation of theirs, open or cooling down. Close conversations, or add numbers to the {pool}: "
        f"manage.py provision_numbers{option}"
    )
