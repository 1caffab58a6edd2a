"""Tell people who join a conversation which number to text."""

from collections.abc import Sequence

from conversations.delivery.outbox import queue_confirmations
from conversations.models import Participant
from conversations.models.own_texts import text_in
from conversations.trust import limits
from smsproxy.services.texts import TextKind


def confirm(newcomers: Sequence[Participant], *, among: Sequence[Participant]) -> Sequence[int]:
    """Queue the confirmations, except to people who have had enough of them today. An event says who got none.

    newcomers: of one conversation, created at one moment. among: all its participants.
    Return the positions of those who get one.
    """
    conversation, at = newcomers[0].conversation, newcomers[0].created_at
    template = text_in(conversation, TextKind.CONFIRMATION)
    if not template:
        return []

    def text(to: Participant) -> str:
        others = " and ".join(other.label or "the other person" for other in among if other is not to)
        return template.replace("{label}", others)

    told = limits.who_gets_a_confirmation([each.real_number for each in newcomers], at=at)
    queue_confirmations(((each, text(each)) for each in newcomers if each.real_number_id in told), at=at)
    for each in newcomers:
        if each.real_number_id not in told:
            reason = f"participant {each.position} got no confirmation: CONFIRMATIONS_PER_PERSON_DAY"
            conversation.record_event(conversation.state, reason=reason, old_state=conversation.state)
    return [each.position for each in newcomers if each.real_number_id in told]
