"""Troubles of what comes in and goes out: webhooks, delivery, confirmations, and the site's certificate."""

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings

from conversations.insight.status import Status, format_count
from conversations.insight.troubles.kinds import Trouble

# One refused webhook may be a scanner's.
MIN_REFUSED = 3
REFUSED_WITHIN = timedelta(hours=6)
# Silence is a trouble if it lasts longer than this, and than twice the longest of the last days.
MIN_SILENCE = timedelta(minutes=30)
OLD_SECRET_WITHIN = timedelta(days=1)


def find(status: Status) -> Iterator[tuple[Trouble, str]]:
    """Yield each active trouble with a sentence that says what is wrong."""
    yield from _webhooks(status)
    found = status.outcomes
    if found.settled >= settings.HEALTH_MIN_RECEIPTS:
        percent = 100 * found.lost / found.settled
        if percent >= settings.HEALTH_MAX_FAILURE_PERCENT:
            yield (
                Trouble.UNDELIVERED,
                f"Messages of the last hour that failed or were not delivered: {found.lost} of {found.settled} "
                f"({percent:.0f} %).",
            )
    if status.failed_confirmations:
        yield (
            Trouble.CONFIRMATIONS,
            "Confirmations of new conversations that did not arrive in the last day: "
            f"{format_count(status.failed_confirmations)}. Their conversations have notify_failed.",
        )
    if status.certificate:
        yield Trouble.CERTIFICATE, f"The TLS certificate of PUBLIC_URL: {status.certificate}."


def _webhooks(status: Status) -> Iterator[tuple[Trouble, str]]:
    refused = [
        each
        for each in status.webhooks
        if each.refused >= MIN_REFUSED and each.refused_at and status.at - each.refused_at < REFUSED_WITHIN
    ]
    if refused:
        told = "; ".join(f"{each.endpoint}: {each.refused:,} ({', '.join(each.reasons)})" for each in refused)
        yield Trouble.WEBHOOKS_REFUSED, f"Webhooks are refused, and none was accepted since: {told}."
    for each in status.webhooks:
        if each.accepted_at and each.usual_gap is not None:
            silence = status.at - each.accepted_at
            if silence > max(MIN_SILENCE, 2 * each.usual_gap):
                yield (
                    Trouble.WEBHOOKS_SILENT,
                    f"No webhook at {each.endpoint} for {silence // timedelta(minutes=1)} minutes. The longest "
                    f"time without one in the last week was {each.usual_gap // timedelta(minutes=1)} minutes.",
                )
                break
    if status.old_secret_at and status.at - status.old_secret_at < OLD_SECRET_WITHIN:
        yield (
            Trouble.SIGNATURE_SECRET,
            "The carrier signs webhooks with an old secret of the settings, not with the first one, last at "
            f"{status.old_secret_at:%Y-%m-%d %H:%M} UTC.",
        )
