"""Troubles of what comes in and goes out: webhooks, delivery, confirmations, and the site's certificate."""

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.utils.translation import gettext as _

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
                _("Messages of the last hour that failed or were not delivered: %(lost)s of %(all)s (%(percent)s %%).")
                % {"lost": found.lost, "all": found.settled, "percent": f"{percent:.0f}"},
            )
    if status.failed_confirmations:
        yield (
            Trouble.CONFIRMATIONS,
            _(
                "Confirmations of new conversations that did not arrive in the last day: %(count)s. Their "
                "conversations have notify_failed."
            )
            % {"count": format_count(status.failed_confirmations)},
        )
    if status.certificate:
        yield Trouble.CERTIFICATE, _("The TLS certificate of PUBLIC_URL: %(why)s.") % {"why": status.certificate}


def _webhooks(status: Status) -> Iterator[tuple[Trouble, str]]:
    refused = [
        each
        for each in status.webhooks
        if each.refused >= MIN_REFUSED and each.refused_at and status.at - each.refused_at < REFUSED_WITHIN
    ]
    if refused:
        told = "; ".join(f"{each.endpoint}: {each.refused:,} ({', '.join(each.reasons)})" for each in refused)
        said = _("Webhooks are refused, and none was accepted since: %(endpoints)s.") % {"endpoints": told}
        yield Trouble.WEBHOOKS_REFUSED, said
    for each in status.webhooks:
        if each.accepted_at and each.usual_gap is not None:
            silence = status.at - each.accepted_at
            if silence > max(MIN_SILENCE, 2 * each.usual_gap):
                yield (
                    Trouble.WEBHOOKS_SILENT,
                    _(
                        "No webhook at %(endpoint)s for %(minutes)s minutes. The longest time without one in the last "
                        "week was %(usual)s minutes."
                    )
                    % {
                        "endpoint": each.endpoint,
                        "minutes": silence // timedelta(minutes=1),
                        "usual": each.usual_gap // timedelta(minutes=1),
                    },
                )
                break
    if status.old_secret_at and status.at - status.old_secret_at < OLD_SECRET_WITHIN:
        yield (
            Trouble.SIGNATURE_SECRET,
            _(
                "The carrier signs webhooks with an old secret of the settings, not with the first one, last at "
                "%(at)s UTC."
            )
            % {"at": f"{status.old_secret_at:%Y-%m-%d %H:%M}"},
        )
