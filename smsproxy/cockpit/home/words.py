"""Durations and counts in words, for the figures of the first page."""

from django.utils.translation import gettext as _

from conversations.insight.status import MAX_COUNT
from smsproxy.metrics.quantile import Quantile

# In seconds.
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def duration(seconds: float) -> str:
    """Return a duration in its largest unit, such as "0.4 s" or "3 min"."""
    if seconds < _MINUTE:
        return _("%(count)s s") % {"count": f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}"}
    if seconds < _HOUR:
        return _("%(count)s min") % {"count": f"{seconds / _MINUTE:.2g}"}
    if seconds < 2 * _DAY:
        return _("%(count)s h") % {"count": f"{seconds / _HOUR:.2g}"}
    return _("%(count)s days") % {"count": f"{seconds / _DAY:.0f}"}


def quantile(found: Quantile | None) -> str:
    """Return an estimated duration, such as "about 0.4 s", or a dash without one."""
    if found is None:
        return "–"
    text = _("more than %(duration)s") if found.is_more else _("about %(duration)s")
    return text % {"duration": duration(found.seconds)}


def percent(part: float | None) -> str:
    """Return a part as a percentage. Never 100 % if something is missing, and a dash without a part."""
    if part is None:
        return "–"
    return f"{min(round(part * 100, 1), 99.9)} %" if part < 1 else "100 %"


def bounded(count: int) -> str:
    """Return a count, or "10,000 or more" where counting stopped."""
    return f"{count:,}" if count < MAX_COUNT else _("%(count)s or more") % {"count": f"{MAX_COUNT:,}"}
