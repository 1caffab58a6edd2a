"""An inbound text: record once, route, queue for the others, commit. Only then may the webhook say 200."""

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from conversations.models import InboundMessage, Outcome, Participant
from conversations.outbox import queue_notice_once, queue_relay
from numbers.models import RealNumber, VirtualNumber
from smsproxy.carriers.base import InboundText


def receive(text: InboundText, *, raw: str = "") -> InboundMessage | None:
    """Take in one text. None: this carrier message id was taken in before, and nothing happens.

    raw: the whole webhook as text, kept where the sender or the number called is not one that we can store as such.
    """
    with transaction.atomic():
        virtual_number = VirtualNumber.objects.filter(number=text.recipient).first()
        is_loop = VirtualNumber.objects.in_pool().filter(number=text.sender).exists()
        sender = participant = None
        if text.sender and not is_loop:
            sender = RealNumber.objects.remember([text.sender])[text.sender]
            participant = Participant.objects.route(text.sender, text.recipient)
        message = InboundMessage(
            carrier_message_id=text.carrier_message_id,
            outcome=Outcome.LOOP if is_loop else _decide(participant),
            sender=sender,
            virtual_number=virtual_number,
            participant=participant,
            text=text.text,
            raw="" if sender and virtual_number else raw,
            group=text.group,
            part=text.part,
            parts=text.parts,
            sent_at=text.sent_at,
        )
        if not InboundMessage.objects.record(message):
            return None
        if message.outcome == Outcome.RELAYED and participant:
            _relay(message, participant)
        else:
            _answer_once_a_day(message)
    return message


def keep_undecodable(carrier_message_id: str, raw: str, reason: str) -> InboundMessage | None:
    """Keep a signed webhook that we do not understand, for staff. None: it has been kept before."""
    message = InboundMessage(
        carrier_message_id=carrier_message_id, outcome=Outcome.UNDECODABLE, raw=raw, reason=reason[:200]
    )
    return message if InboundMessage.objects.record(message) else None


def _decide(participant: Participant | None) -> Outcome:
    """The one outcome of a text from this participant, or from nobody that we know."""
    if participant is None:
        return Outcome.NO_ROUTE
    if not participant.conversation.is_live():
        return Outcome.ENDED
    return Outcome.RELAYED


def _relay(message: InboundMessage, participant: Participant) -> None:
    others = list(participant.others())
    # Between two people it is clear who speaks; in a group each text says so.
    speaker = f"{participant.name}: " if len(others) > 1 else ""
    for other in others:
        queue_relay(message, other, speaker + message.text)


def _answer_once_a_day(message: InboundMessage) -> None:
    """Tell a person, once a day, that nobody got their text; never a machine, and never a number of ours."""
    notices = {Outcome.ENDED: settings.ENDED_NOTICE, Outcome.NO_ROUTE: settings.STRANGER_NOTICE}
    notice = notices.get(Outcome(message.outcome), "")
    if notice and message.sender and message.virtual_number and message.virtual_number.can_sms:
        today = timezone.now().date().isoformat()
        queue_notice_once(f"not-passed-on:{message.sender.pk}:{today}", message.virtual_number, message.sender, notice)
