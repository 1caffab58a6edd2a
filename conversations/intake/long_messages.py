"""Long texts: their parts reach us one by one, in any order, some of them twice, and go on as one text.

Each part is an inbound message, so it is acknowledged once it is committed, and taken in once. With the last of them
the whole becomes an inbound message of its own, `long:<id>`, and is treated like any other text. So it is after
CONCAT_TIMEOUT, with what there is; what comes later begins a new long text, so that nothing is lost.
"""

import logging
from datetime import timedelta
from itertools import groupby

from django.conf import settings
from django.db import IntegrityError, InterfaceError, InternalError, OperationalError, transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from conversations.intake import receive
from conversations.models import InboundMessage, LongText, Outcome
from conversations.models.inbound import InboundMessageQuerySet
from numbers.models import RealNumber, VirtualNumber
from smsproxy.carriers.base import InboundText
from smsproxy.carriers.gsm7 import is_gsm7
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

# How long after its end a long text is remembered, to tell a part that is repeated. By then a phone may use its group's
# number again, for another text.
MEMORY = timedelta(minutes=10)
# One that cannot be passed on, because a part of it cannot be decrypted say, is tried again after this time.
POSTPONED = timedelta(hours=1)


def take_in(text: InboundText, *, raw: str = "") -> None:
    """Take in one part, and with the last one the whole: as `inbound.receive` takes in a text of one piece."""
    with transaction.atomic():
        part = _as_part(text)
        if part is None:
            receive.take_in_whole(text, raw=raw)
            return
        long_text, is_new = _lock(part)
        if repeated := _holding(part):
            part.outcome, part.long_text = Outcome.DUPLICATE_PART, repeated
            if is_new:
                long_text.delete()
        else:
            if _belongs_to_another(part, long_text):
                _close(long_text)
                long_text, _ = _lock(part)
            part.long_text = long_text
        if not InboundMessage.objects.record(part):
            transaction.set_rollback(True)  # For a part that was here before, no long text is begun or ended.
        elif part.outcome == Outcome.PART and long_text.here().count() == long_text.parts:
            _close(long_text)


def pass_on(late: LongText) -> None:
    """Pass it on with what there is. Raises StaleState: somebody else did, or its last part has just come."""
    try:
        with transaction.atomic():
            long_text = LongText.objects.select_for_update(no_key=True).filter(pk=late.pk, closed_at=None).first()
            if long_text is None:
                raise StaleState(f"{late} is closed already")
            _close(long_text)
    except (StaleState, OperationalError, InterfaceError, InternalError):
        raise  # Of the last three the text is not to blame: the next pass tries again.
    except Exception as error:  # noqa: BLE001
        log.error("%s cannot be passed on: %s", late, type(error).__name__)  # noqa: TRY400
        _put_off(late)


def _put_off(long_text: LongText) -> None:
    """Else it would be the first again and again, and keep the others waiting. Too old to be sent, it is given up."""
    now = timezone.now()
    is_worth_sending = (
        long_text.here().filter(received_at__gt=now - timedelta(seconds=settings.MESSAGE_MAX_AGE)).exists()
    )
    LongText.objects.filter(pk=long_text.pk, closed_at=None).update(
        **{"due_at": now + POSTPONED} if is_worth_sending else {"closed_at": now}
    )


def _as_part(text: InboundText) -> InboundMessage | None:
    """None: it cannot be joined with others, since not both its ends are numbers that we know as such."""
    virtual_number = VirtualNumber.objects.filter(number=text.recipient).first()
    if not text.sender or virtual_number is None or receive.is_from_ourselves(text.sender):
        return None
    return InboundMessage(
        carrier_message_id=text.carrier_message_id,
        outcome=Outcome.PART,
        sender=RealNumber.objects.remember([text.sender])[text.sender],
        virtual_number=virtual_number,
        text=text.text,
        group=text.group,
        part=text.part,
        parts=text.parts,
        sent_at=text.sent_at,
    )


def _lock(part: InboundMessage) -> tuple[LongText, bool]:
    """The open long text of the part's sender, number, group and count; begun if there is none. Was it?

    It is locked until the transaction ends, so that its parts are taken in one after the other.
    """
    due_at = part.received_at + timedelta(seconds=settings.CONCAT_TIMEOUT)
    try:
        return LongText.objects.select_for_update(no_key=True).get_or_create(
            sender=part.sender,
            virtual_number=part.virtual_number,
            group=part.group,
            parts=part.parts,
            closed_at=None,
            defaults={"due_at": due_at},
        )
    except IntegrityError:
        # There was one when we wanted to begin it, and none any more when we looked: others are at it. Once more.
        return _lock(part)


def _holding(part: InboundMessage) -> LongText | None:
    """The long text, open or closed not long ago, that has this part, word for word."""
    recent = Q(long_text__closed_at=None) | Q(long_text__closed_at__gt=part.received_at - MEMORY)
    same_place = InboundMessage.objects.filter(
        recent,
        outcome=Outcome.PART,
        long_text__sender=part.sender,
        long_text__virtual_number=part.virtual_number,
        long_text__group=part.group,
        long_text__parts=part.parts,
        part=part.part,
    ).select_related("long_text")
    return next((message.long_text for message in same_place if message.text == part.text), None)


def _belongs_to_another(part: InboundMessage, long_text: LongText) -> bool:
    """Has the phone's counter come round? Then the part is of a new long text, and this one will not be completed."""
    return part.received_at > long_text.due_at + MEMORY or long_text.here().filter(part=part.part).exists()


def _close(long_text: LongText) -> None:
    """Take in what there is of it as one text. The caller holds its lock."""
    if not LongText.objects.filter(pk=long_text.pk, closed_at=None).update(closed_at=timezone.now()):
        raise StaleState(f"{long_text} is closed already")
    here = list(long_text.here())
    texts = {part.part: part.text for part in here}
    if len(here) < long_text.parts:
        texts = {part.part: part.text for part in _taken_for_repeats(long_text)} | texts
    whole = InboundText(
        carrier_message_id=f"long:{long_text.pk}",
        sender=long_text.sender.number,
        recipient=long_text.virtual_number.number,
        text=_joined(texts, long_text.parts),
        sent_at=min((part.sent_at for part in here if part.sent_at), default=None),
    )
    receive.take_in_whole(
        whole,
        long_text=long_text,
        missing_parts=long_text.parts - len(texts),
        received_at=max((part.received_at for part in here), default=None),
    )


def _taken_for_repeats(long_text: LongText) -> InboundMessageQuerySet:
    """Parts that said the same as those of an earlier text, but came after its end: they may be ours.

    A phone that gives each text the same group's number, or begins each with the same words, sends such parts.
    """
    begun_at = long_text.due_at - timedelta(seconds=settings.CONCAT_TIMEOUT)
    return InboundMessage.objects.filter(
        outcome=Outcome.DUPLICATE_PART,
        long_text__sender=long_text.sender,
        long_text__virtual_number=long_text.virtual_number,
        long_text__group=long_text.group,
        long_text__parts=long_text.parts,
        received_at__gt=Greatest(F("long_text__closed_at"), Value(begun_at - MEMORY)),
    ).order_by("pk")


def _joined(texts: dict[int, str], parts: int) -> str:
    """In the order of the parts, with a mark where some are missing."""
    # The one character "…" would make a text Unicode, and so more than twice as many SMS.
    mark = "[...]" if is_gsm7("".join(texts.values())) else "[…]"
    places = [texts.get(number) for number in range(1, parts + 1)]
    return "".join(
        mark if is_missing else "".join(text or "" for text in run)
        for is_missing, run in groupby(places, key=lambda text: text is None)
    )
