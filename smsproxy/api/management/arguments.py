"""Command line arguments about API keys."""

from datetime import datetime
from functools import partial

from django.utils import timezone

from smsproxy import values
from smsproxy.api.scopes import parse_scopes
from smsproxy.arguments import argument


def _expiry(text: str) -> datetime:
    """Return the moment at which a key expires: so long from now, or the beginning of a day in UTC."""
    expected = "a time from now, such as 90d, or a day after today, such as 2027-03-31"
    try:
        at = timezone.now() + values.duration(text) if text[-1:].isalpha() else values.day(text)
    except values.InvalidValue:
        raise values.InvalidValue(expected, text) from None
    if at <= timezone.now():
        raise values.InvalidValue(expected, text)
    return at


expiry = argument(_expiry)
duration = argument(values.duration)
rate = argument(partial(values.whole_number, least=0, unit="requests a minute"))
scopes = argument(parse_scopes)
