"""Long messages: join parts that arrive one by one, in any order, some of them twice.

Each part is an inbound message: committed before it is acknowledged, and stored once. The last part completes the long
message, which is processed like any other text, as the inbound message `long:<id>`. After CONCAT_TIMEOUT it is
processed without its missing parts. A part that comes later begins a new long message, so that nothing is lost.
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
from conversations.intake.read_arrival import read_arrival
from conversations.models import InboundMessage, LongText, Outcome
from conversations.models.inbound import InboundMessageQuerySet
from numbers.models import RealNumber
from smsproxy.carriers.base import InboundText
from smsproxy.carriers.gsm7 import is_gsm7
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

# Time after its end in which a long message recognises repeated parts. Later, the phone may reuse its reference.
MEMORY = timedelta(minutes=10)
# Delay before a retry of a long message that cannot be relayed, for example because a part cannot be decrypted.
POSTPONED = timedelta(hours=1)


def take_in(text: InboundText, *, raw: str = "") -> None:
    """Process one part, committed on return. The last part completes the long message."""
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
            transaction.set_rollback(True)  # A repeated part neither begins nor ends a long message.
        elif part.outcome == Outcome.PART and long_text.here().count() == long_text.parts:
            _close(long_text)


def pass_on(late: LongText) -> None:
    """Relay a long message without its missing parts. Raises StaleState if it is closed already."""
    try:
        with transaction.atomic():
            long_text = LongText.objects.select_for_update(no_key=True).filter(pk=late.pk, closed_at=None).first()
            if long_text is None:
                raise StaleState(f"{late} is closed already")
            _close(long_text)
    except (StaleState, OperationalError, InterfaceError, InternalError):
        raise  # Faults of the database, not of this message: the next run retries.
    except Exception as error:  # noqa: BLE001
        log.error("%s cannot be passed on: %s", late, type(error).__name__)  # noqa: TRY400
        _put_off(late)


def _put_off(long_text: LongText) -> None:
    """Postpone a long message that fails, so that it does not block the others. Close one that is too old to send."""
    now = timezone.now()
    is_worth_sending = (
        long_text.here().filter(received_at__gt=now - timedelta(seconds=settings.MESSAGE_MAX_AGE)).exists()
    )
    LongText.objects.filter(pk=long_text.pk, closed_at=None).update(
        **{"due_at": now + POSTPONED} if is_worth_sending else {"closed_at": now}
    )


def _as_part(text: InboundText) -> InboundMessage | None:
    """Return the part, or None if it cannot be joined: its sender or its recipient is not a number that we know."""
    context = read_arrival(text.sender, text.recipient, text.text)
    if not text.sender or context.virtual_number is None or context.is_loop:
        return None
    return InboundMessage(
        carrier_message_id=text.carrier_message_id,
        outcome=Outcome.PART,
        sender=context.sender or RealNumber.objects.remember([text.sender])[text.sender],
        virtual_number=context.virtual_number,
        text=text.text,
        group=text.group,
        part=text.part,
        parts=text.parts,
        sent_at=text.sent_at,
    )


def _lock(part: InboundMessage) -> tuple[LongText, bool]:
    """Return the open long message of the part, created if necessary, and whether it was created.

    It stays locked until the transaction ends, so that its parts are processed one by one.
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
        # Another transaction opened and closed one in between. Retry.
        return _lock(part)


def _holding(part: InboundMessage) -> LongText | None:
    """Return the long message, open or recently closed, that has the same part with the same text."""
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
    """Return whether the phone reused its reference: then the part begins a new long message."""
    return part.received_at > long_text.due_at + MEMORY or long_text.here().filter(part=part.part).exists()


def _close(long_text: LongText) -> None:
    """Process the received parts as one text. The caller holds the lock of the long message."""
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
    """Return parts that were taken for repeats of an earlier long message, but came after its end.

    They may belong to this one: some phones always use the same reference, and many texts begin with the same words.
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
    """Return the joined text, with a mark in place of missing parts."""
    # The one character "…" would make the text Unicode, which takes more than twice as many SMS.
    mark = "[...]" if is_gsm7("".join(texts.values())) else "[…]"
    places = [texts.get(number) for number in range(1, parts + 1)]
    return "".join(
        mark if is_missing else "".join(text or "" for text in run)
        for is_missing, run in groupby(places, key=lambda text: text is None)
    )
