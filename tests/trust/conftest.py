"""The two ways in which a text is taken in."""

import pytest

from conversations.intake import fast_path, receive
from conversations.models import InboundMessage
from smsproxy.carriers.base import InboundText


@pytest.fixture(params=["fast", "general"])
def write(request, monkeypatch):
    """Return a function that takes in a text, by the fast path of PostgreSQL or by the general path."""
    if request.param == "general":
        monkeypatch.setattr(fast_path, "is_available", lambda: False)
    elif not fast_path.is_available():
        pytest.skip("only PostgreSQL has the fast path")

    def write(sender, to, words, at=None):
        name = f"in-{InboundMessage.objects.count() + 1}"
        receive.receive(
            InboundText(carrier_message_id=name, sender=sender, recipient=to, text=words, sent_at=at), raw="raw"
        )
        return InboundMessage.objects.get(carrier_message_id=name)

    return write
