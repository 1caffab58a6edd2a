"""Retention times, and a conversation with texts."""

import pytest

from conversations.delivery.relay import Relay
from conversations.intake import receive
from conversations.models import (
    OutboundMessage,
)
from smsproxy.carriers.base import InboundText
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.retention import DAY


@pytest.fixture(autouse=True)
def _a_year_and_a_quarter(settings):
    settings.MESSAGE_RETENTION_SECONDS = 365 * DAY
    settings.EVENT_RETENTION_SECONDS = 90 * DAY


@pytest.fixture
def conversation(db):
    add_numbers(3)
    return talk(ALICE, BOB)


@pytest.fixture
def says(conversation, carrier):
    """Receive a text of Alice's to Bob and relay it. Return its message to Bob."""

    def says(id, **fields):
        inbound = {"carrier_message_id": id, "sender": ALICE, "recipient": proxies(conversation)[0], "text": "hello"}
        receive.receive(InboundText(**inbound | fields))
        Relay().send_due()
        return OutboundMessage.objects.order_by("pk").last()

    return says
