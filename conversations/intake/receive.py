"""An inbound text: record once, route, queue for the others, commit. Only then may the webhook say 200."""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from conversations.delivery.outbox import queue_notice_once, queue_relay
from conversations.delivery.wakeup import wake_workers
from conversations.intake import fast_path
from conversations.intake.gates import Arrival, decide
from conversations.models import Conversation, InboundMessage, LongText, Outcome, Participant
from numbers.models import RealNumber, VirtualNumber
from smsproxy.carriers.base import InboundText
from smsproxy.states import StaleState


def receive(text: InboundText, *, raw: str = "") -> None:
    """Take in a text of one piece: committed when this returns. One that was taken in before has no effect.

    raw: the whole webhook as text, kept where the sender or the number called is not one that we can store as such.
    """
    if fast_path.serves() and _take_the_fast_way(text):
        return
    with transaction.atomic():
        take_in_whole(text, raw=raw)


def _take_the_fast_way(text: InboundText) -> bool:
    """The ordinary text: relayed, or relayed before. False: it is another case, and nothing has happened."""
    arrival = fast_path.find(text)
    if arrival is None or decide(arrival) != Outcome.RELAYED:
        return False
    done = fast_path.take_in(text, arrival)
    if done is fast_path.Taken.DONE:
        transaction.on_commit(wake_workers)
    return done is not fast_path.Taken.NOT_ANY_MORE


def take_in_whole(
    text: InboundText,
    *,
    long_text: LongText | None = None,
    missing_parts: int = 0,
    received_at: datetime | None = None,
    raw: str = "",
) -> InboundMessage | None:
    """Record, decide, and queue or answer, in the caller's transaction. None: it was taken in before.

    long_text: what it was put together from. missing_parts: how many of its parts never came. received_at: when the
    last of them came; None: just now.
    """
    received_at = received_at or timezone.now()
    virtual_number = VirtualNumber.objects.filter(number=text.recipient).first()
    is_loop = is_from_ourselves(text.sender)
    sender = participant = None
    if text.sender and not is_loop:
        sender = RealNumber.objects.remember([text.sender])[text.sender]
        participant = Participant.objects.route(text.sender, text.recipient)
        if participant and long_text and participant.has_followed_others_since(received_at):
            participant = None  # While its parts were waited for, the numbers have been given to other people.
    arrival = arrival_of(text.text, participant, is_loop=is_loop)
    message = InboundMessage(
        carrier_message_id=text.carrier_message_id,
        outcome=decide(arrival),
        sender=sender,
        virtual_number=virtual_number,
        participant=participant,
        text=text.text,
        raw="" if sender and virtual_number else raw,
        group=text.group,
        part=text.part,
        parts=text.parts,
        long_text=long_text,
        missing_parts=missing_parts,
        sent_at=text.sent_at,
        received_at=received_at,
    )
    if not InboundMessage.objects.record(message):
        return None
    if message.outcome == Outcome.RELAYED and participant and not _is_open_again(participant.conversation):
        message.outcome = Outcome.ENDED
        message.save(update_fields=["outcome"])
    if message.outcome == Outcome.RELAYED and participant:
        participant.conversation.restart_idle_time()
        for other in arrival.others:
            queue_relay(message, other, arrival.relayed_text)
    else:
        _answer(message, arrival)
    return message


def is_from_ourselves(sender: str | None) -> bool:
    return VirtualNumber.objects.in_pool().filter(number=sender).exists()


def arrival_of(text: str, participant: Participant | None, *, is_loop: bool) -> Arrival:
    """What the gates look at, for a text of this participant; None: of nobody that we know."""
    if participant is None:
        return Arrival(text, is_loop)
    return Arrival(
        text,
        is_loop,
        participant,
        list(participant.others()),
        reopens=participant.conversation.reopens_for_a_late_text(),
    )


def _is_open_again(conversation: Conversation) -> bool:
    """It is open; or has ended, and the late text opens it again. False: its numbers may be somebody else's by now."""
    if conversation.is_live():
        return True
    try:
        conversation.reopen(reason="a late text")
    except StaleState:
        return False
    return True


def keep_undecodable(carrier_message_id: str, raw: str, reason: str) -> InboundMessage | None:
    """Keep a signed webhook that we do not understand, for staff. None: it has been kept before."""
    message = InboundMessage(
        carrier_message_id=carrier_message_id, outcome=Outcome.UNDECODABLE, raw=raw, reason=reason[:200]
    )
    return message if InboundMessage.objects.record(message) else None


def _answer(message: InboundMessage, arrival: Arrival) -> None:
    """Tell a person that nobody got their text; never a machine, and never a number of ours."""
    notice, once_key = _notice(message, arrival)
    if notice and message.sender and message.virtual_number and message.virtual_number.can_sms:
        queue_notice_once(once_key, message.virtual_number, message.sender, notice)


def _notice(message: InboundMessage, arrival: Arrival) -> tuple[str, str]:
    """What its sender is told, and the key under which they are told it once."""
    if message.outcome == Outcome.TOO_LONG:
        numbers = {"{segments}": arrival.segments, "{most}": settings.MAX_SEGMENTS}
        notice: str = settings.TOO_LONG_NOTICE
        for name, number in numbers.items():
            notice = notice.replace(name, str(number))
        return notice, f"too-long:{message.pk}"
    # Once a day: the sender may be a machine.
    notices = {Outcome.ENDED: settings.ENDED_NOTICE, Outcome.NO_ROUTE: settings.STRANGER_NOTICE}
    today = timezone.now().date().isoformat()
    return notices.get(Outcome(message.outcome), ""), f"not-passed-on:{message.sender_id}:{today}"
