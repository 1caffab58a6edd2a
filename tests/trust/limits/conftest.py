"""The fixtures of the tests of limits."""

import pytest
from django.utils import timezone

from conversations.intake import fast_path
from conversations.intake.receive import receive
from conversations.models import InboundMessage
from smsproxy.carriers.base import InboundText
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk


@pytest.fixture(params=[pytest.param("fast", marks=pytest.mark.django_db(transaction=True)), "general"])
def text(request, monkeypatch, time_machine):
    """Return a function text(sender, to) that returns the outcome, by both ways, while the clock stands still."""
    if request.param == "general":
        monkeypatch.setattr(fast_path, "is_available", lambda: False)
    time_machine.move_to(timezone.now(), tick=False)

    def text(sender, to, words="hello", *, name=""):
        name = name or f"in-{InboundMessage.objects.count()}"
        receive(InboundText(carrier_message_id=name, sender=sender, recipient=to, text=words))
        return InboundMessage.objects.get(carrier_message_id=name).outcome

    return text


@pytest.fixture
def to(db):
    """Return the number through which Alice reaches Bob."""
    add_numbers(6)
    return proxies(talk(ALICE, BOB))[0]
