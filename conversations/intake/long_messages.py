"""Long messages: join parts that arrive one by one, in any order, some of them twice.

Each part is an inbound message: committed before it is acknowledged, and stored once. The last part completes the long
message, which is processed like any other, as the inbound message `long:<id>`. After LONG_MESSAGE_TIMEOUT_SECONDS it
is processed without its missing parts. A part that comes later begins a new long message, so nothing is lost.
"""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

from django.conf import settings
from django.db import IntegrityError, InterfaceError, InternalError, OperationalError, transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Greatest

from conversations.delivery.steps import log_inbound, log_repeated
from conversations.intake import receive
from conversations.intake.read_arrival import read_arrival
from conversations.models import InboundMessage, InboundOutcome, LongMessage
from conversations.models.inbound import InboundMessageQuerySet
from conversations.trust.keywords import PLAIN_GAP, UNICODE_GAP
from numbers.models import RealNumber
from smsproxy.carriers.base import InboundText
from smsproxy.carriers.gsm7 import is_gsm7
from smsproxy.crypto import Unreadable, UnreadableValue
from smsproxy.database.clock import DatabaseNow, database_now
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

# Time after its end in which a long message recognises repeated parts. Later, the phone may reuse its reference.
DUPLICATE_WINDOW = timedelta(minutes=10)
# Delay before a retry of a long message that cannot be relayed, for example because a part cannot be decrypted.
RETRY_DELAY = timedelta(hours=1)


def take_in(text: InboundText, *, raw: str = "") -> None:
    """Process one part, committed on return. The last part completes the long message."""
    arrived_at = database_now()  # Before the wait for the conversation, which may end in it.
    with transaction.atomic():
        part = _as_part(text, arrived_at)
        if part is None:
            receive.process_message(text, received_at=arrived_at, raw=raw)
            return
        long_message, is_new = _lock(part)
        if repeated := _find_duplicate(part):
            part.outcome, part.long_message = InboundOutcome.DUPLICATE_PART, repeated
            if is_new:
                long_message.delete()
        else:
            if _is_new_message(part, long_message):
                if not _close_if_readable(long_message):
                    LongMessage.objects.filter(pk=long_message.pk).update(closed_at=DatabaseNow())
                long_message, _ = _lock(part)
            part.long_message = long_message
        if not InboundMessage.objects.record(part):
            transaction.set_rollback(True)  # A repeated part neither begins nor ends a long message.
            log_repeated(part.carrier_message_id)
            return
        transaction.on_commit(partial(log_inbound, part))
        if part.outcome == InboundOutcome.PART and long_message.received_parts().count() == long_message.parts:
            _close_if_readable(long_message)  # Otherwise the periodic job tries again.


def relay_incomplete(late: LongMessage) -> None:
    """Relay a long message without its missing parts. Raises StaleState if it is closed already."""
    try:
        with transaction.atomic():
            # Before the long message, as a part of it does, and before the conversation. One order prevents deadlocks.
            list(RealNumber.objects.select_for_update(no_key=True).filter(pk=late.sender_id).values_list("pk"))
            long_message = LongMessage.objects.select_for_update(no_key=True).filter(pk=late.pk, closed_at=None).first()
            if long_message is None:
                raise StaleState(f"{late} is closed already")
            _close(long_message)
    except (StaleState, OperationalError, InterfaceError, InternalError):
        raise  # Faults of the database, not of this message: the next run retries.
    except Exception as error:  # noqa: BLE001
        log.error("%s cannot be relayed: %s", late, type(error).__name__)  # noqa: TRY400
        _postpone(late)


def _postpone(long_message: LongMessage) -> None:
    """Postpone a long message that fails, so that it does not block the others. Close one that is too old to send."""
    now = database_now()
    is_worth_sending = (
        long_message.received_parts()
        .filter(received_at__gt=now - timedelta(seconds=settings.MESSAGE_MAX_AGE_SECONDS))
        .exists()
    )
    LongMessage.objects.filter(pk=long_message.pk, closed_at=None).update(
        **{"due_at": now + RETRY_DELAY} if is_worth_sending else {"closed_at": now}
    )


def _as_part(text: InboundText, arrived_at: datetime) -> InboundMessage | None:
    """Return the part, or None if it cannot be joined: its sender or its recipient is not a number that we know.

    Its sender stays locked until the transaction ends, as in a creation. So no cool-down of theirs is cut short before
    the part is stored.
    """
    context = read_arrival(text.sender, text.recipient, text.text)
    if not text.sender or context.virtual_number is None or context.is_loop:
        return None
    if context.sender is not None:
        RealNumber.objects.lock([context.sender])
    return InboundMessage(
        carrier_message_id=text.carrier_message_id,
        outcome=InboundOutcome.PART,
        sender=context.sender or RealNumber.objects.get_or_create_many([text.sender])[text.sender],
        virtual_number=context.virtual_number,
        text=text.text,
        concat_ref=text.concat_ref,
        part=text.part,
        parts=text.parts,
        sent_at=text.sent_at,
        received_at=arrived_at,
    )


def _lock(part: InboundMessage) -> tuple[LongMessage, bool]:
    """Return the open long message of the part, created if necessary, and whether it was created.

    It stays locked until the transaction ends, so that its parts are processed one by one.
    """
    due_at = part.received_at + timedelta(seconds=settings.LONG_MESSAGE_TIMEOUT_SECONDS)
    try:
        return LongMessage.objects.select_for_update(no_key=True).get_or_create(
            sender=part.sender,
            virtual_number=part.virtual_number,
            concat_ref=part.concat_ref,
            parts=part.parts,
            closed_at=None,
            defaults={"due_at": due_at},
        )
    except IntegrityError:
        # Another transaction opened and closed one in between. Retry.
        return _lock(part)


def _find_duplicate(part: InboundMessage) -> LongMessage | None:
    """Return the long message, open or recently closed, that has the same part with the same text."""
    recent = Q(long_message__closed_at=None) | Q(long_message__closed_at__gt=part.received_at - DUPLICATE_WINDOW)
    same_place = InboundMessage.objects.filter(
        recent,
        outcome=InboundOutcome.PART,
        long_message__sender=part.sender,
        long_message__virtual_number=part.virtual_number,
        long_message__concat_ref=part.concat_ref,
        long_message__parts=part.parts,
        part=part.part,
    ).select_related("long_message")
    return next((message.long_message for message in same_place if message.text == part.text), None)


def _is_new_message(part: InboundMessage, long_message: LongMessage) -> bool:
    """Return whether the phone reused its reference: then the part begins a new long message."""
    return (
        part.received_at > long_message.due_at + DUPLICATE_WINDOW
        or long_message.received_parts().filter(part=part.part).exists()
    )


def _close_if_readable(long_message: LongMessage) -> bool:
    """Process the received parts as one text. Return False, with nothing changed, if one cannot be decrypted."""
    try:
        _close(long_message)
    except UnreadableValue:
        log.error("%s cannot be relayed: no key of ENCRYPTION_KEYS can decrypt a part of it", long_message)  # noqa: TRY400
        return False
    return True


def _close(long_message: LongMessage) -> None:
    """Process the received parts as one text. The caller holds the lock of the long message.

    Raises UnreadableValue, with nothing changed, if a part or the sender cannot be decrypted.
    """
    here = {part.part: part for part in long_message.received_parts()}
    values = [long_message.sender.number, *(part.text for part in here.values())]
    if any(isinstance(value, Unreadable) for value in values):
        raise UnreadableValue
    if not LongMessage.objects.filter(pk=long_message.pk, closed_at=None).update(closed_at=DatabaseNow()):
        raise StaleState(f"{long_message} is closed already")
    if len(here) < long_message.parts:
        misjudged = {part.part: part for part in _misjudged_duplicates(long_message)}
        here = {place: part for place, part in misjudged.items() if not isinstance(part.text, Unreadable)} | here
    texts = {number: part.text for number, part in here.items()}
    # Parts that came in time for an earlier relay count for the age of the text, and are not sent again.
    all_known = [*here.values(), *(_relayed_before(long_message, here) if len(here) < long_message.parts else [])]
    whole = InboundText(
        carrier_message_id=f"long:{long_message.pk}",
        sender=long_message.sender.number,
        recipient=long_message.virtual_number.number,
        text=_joined(texts, long_message.parts),
        sent_at=min((part.sent_at for part in all_known if part.sent_at), default=None),
    )
    receive.process_message(
        whole,
        long_message=long_message,
        missing_parts=long_message.parts - len(texts),
        received_at=max((part.received_at for part in here.values()), default=None),
        first_part_at=min((part.received_at for part in all_known), default=None),
    )


def _misjudged_duplicates(long_message: LongMessage) -> InboundMessageQuerySet:
    """Return parts that were taken for repeats of an earlier long message, but came after its end.

    They may belong to this one: some phones always use the same reference, and many texts begin with the same words.
    """
    begun_at = long_message.due_at - timedelta(seconds=settings.LONG_MESSAGE_TIMEOUT_SECONDS)
    return InboundMessage.objects.filter(
        outcome=InboundOutcome.DUPLICATE_PART,
        long_message__sender=long_message.sender,
        long_message__virtual_number=long_message.virtual_number,
        long_message__concat_ref=long_message.concat_ref,
        long_message__parts=long_message.parts,
        received_at__gt=Greatest(F("long_message__closed_at"), Value(begun_at - DUPLICATE_WINDOW)),
    ).order_by("pk")


def _relayed_before(long_message: LongMessage, here: Collection[int]) -> list[InboundMessage]:
    """Return the parts of this text that were relayed without these parts (their numbers), which came too late.

    They are of an earlier long message with the same reference that has none of these parts. The carrier may deliver a
    part as late as WEBHOOK_MAX_AGE_SECONDS.
    """
    oldest = database_now() - timedelta(seconds=settings.WEBHOOK_MAX_AGE_SECONDS)
    earlier = LongMessage.objects.filter(
        sender=long_message.sender,
        virtual_number=long_message.virtual_number,
        concat_ref=long_message.concat_ref,
        parts=long_message.parts,
        closed_at__gt=oldest,
    ).exclude(pk=long_message.pk)
    found = [list(each.received_parts().defer("text", "raw")) for each in earlier]
    return [part for parts in found if not any(part.part in here for part in parts) for part in parts]


def _joined(texts: dict[int, str], parts: int) -> str:
    """Return the joined text, with a mark in place of missing parts."""
    # The character "…" would make the text Unicode, which takes more than twice as many SMS.
    mark = PLAIN_GAP if is_gsm7("".join(texts.values())) else UNICODE_GAP
    places = [texts.get(number) for number in range(1, parts + 1)]
    return "".join(
        mark if is_missing else "".join(text or "" for text in run)
        for is_missing, run in groupby(places, key=lambda text: text is None)
    )
