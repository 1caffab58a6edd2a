"""What time does to rows: leases run out, conversations expire, cool-downs end. Run by the worker, often, in bites."""

import logging
from collections.abc import Callable

from django.conf import settings
from django.utils import timezone

from conversations.models import Conversation, OutboundMessage, Participant
from conversations.receipts import match_late_receipts
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

# Rows that one sweep handles in one pass, so that none holds up the sending of texts.
BITE = 500


def sweep() -> None:
    """All sweeps, one pass each. Any number of workers may run them at once: each change hits a row once."""
    recover_leases()
    settle_unknown()
    match_late_receipts()
    close_expired()
    release_cooled_down()


def recover_leases() -> int:
    """A worker that held a message is gone: whether the carrier had the text is unknown. How many?"""
    late = OutboundMessage.objects.with_expired_lease(timezone.now())[:BITE]
    count = sum(_happened(message.lose_track, "its worker did not report back in time") for message in late)
    if count:
        log.warning("%d messages have an unknown outcome: their worker did not report back", count)
    return count


def settle_unknown() -> int:
    """No receipt has settled them in time. `resend` sends them again; `hold` leaves them to staff. How many?"""
    if settings.UNKNOWN_POLICY != "resend":
        return 0
    late = OutboundMessage.objects.to_settle(timezone.now())[:BITE]
    return sum(_happened(message.resend, "no receipt settled it: UNKNOWN_POLICY=resend") for message in late)


def close_expired() -> int:
    """How many?"""
    expired = Conversation.objects.expired(timezone.now())[:BITE]
    return sum(_happened(conversation.close, "expired") for conversation in expired)


def release_cooled_down() -> int:
    """From now on the pairs of numbers may be given to others. How many?"""
    now = timezone.now()
    bite = list(Participant.objects.cooled_down(now).order_by("release_at").values_list("pk", flat=True)[:BITE])
    return Participant.objects.filter(pk__in=bite).update(released_at=now)


def _happened(verb: Callable[..., object], reason: str) -> bool:
    """Did the change take place? Another worker may have been first."""
    try:
        verb(reason=reason)
    except StaleState:
        return False
    return True
