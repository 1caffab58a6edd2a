"""Read what came in and what became of it, and what else the site depends on, for the status.

Each query reads a few rows: the newest of a table by its key, or a partial index.
"""

from datetime import datetime, timedelta

from django.conf import settings

from conversations.insight.status import MAX_COUNT, LowPool, Outcomes, WebhookStatus
from conversations.models import OutboundMessage, OutboundState, RejectedWebhook, SiteCertificate, WebhookWatch
from conversations.models.outbound_state import NOT_DELIVERED
from conversations.models.site_certificate import VALID_FOR
from numbers.models import PoolLevel
from numbers.models.pool import pool_name

# The newest messages of this time count for the share of lost ones, up to this number.
OUTCOMES_OF = timedelta(hours=1)
MAX_OUTCOMES = 500
CONFIRMATIONS_OF = timedelta(days=1)


def webhooks(now: datetime) -> list[WebhookStatus]:
    return [
        WebhookStatus(
            endpoint=watch.endpoint,
            accepted_at=watch.accepted_at,
            refused=watch.refused_since_accepted,
            refused_at=watch.refused_at,
            reasons=RejectedWebhook.objects.reasons_of(watch.endpoint, since=now.date() - timedelta(days=1)),
            usual_gap=watch.usual_gap,
        )
        for watch in WebhookWatch.objects.all()
    ]


def outcomes(now: datetime) -> Outcomes:
    newest = OutboundMessage.objects.order_by("-pk").values_list("state", "created_at")[:MAX_OUTCOMES]
    states = [state for state, created_at in newest if created_at > now - OUTCOMES_OF]
    lost = sum(state in NOT_DELIVERED for state in states)
    return Outcomes(settled=lost + states.count(OutboundState.DELIVERED), lost=lost)


def failed_confirmations(now: datetime) -> int:
    recent = OutboundMessage.objects.failed_confirmations().filter(created_at__gt=now - CONFIRMATIONS_OF)
    return recent.order_by("created_at")[:MAX_COUNT].count()


def low_pools() -> list[LowPool]:
    return [
        LowPool(pool=pool_name(level.pool), country=level.country, free=level.free, least=level.least)
        for level in PoolLevel.objects.low().select_related("pool")
    ]


def certificate(now: datetime) -> str:
    seen = SiteCertificate.objects.of(settings.PUBLIC_URL).filter(checked_at__gt=now - VALID_FOR).first()
    return seen.trouble if seen else ""
