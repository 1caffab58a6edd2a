"""Helpers of the tests of the daily budget: prices, and looks at the account."""

from conversations.models import AccountRateLimit, OutboundMessage
from smsproxy.carriers.base import SendReply, SentPart

NEXT_DAY = "2026-11-23T00:00:01Z"


def account():
    return AccountRateLimit.load()


def at_price(price, parts=1):
    """Return a step of the scripted carrier that accepts the text in this number of parts, at this price each."""

    def accept(text):
        ids = [f"{text.client_ref}-{part}" for part in range(parts)]
        return SendReply(parts=tuple(SentPart(carrier_message_id=each, price=price) for each in ids))

    return accept


def states():
    return list(OutboundMessage.objects.order_by("pk").values_list("state", flat=True))
