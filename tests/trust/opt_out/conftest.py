"""The fixtures of the tests of opt-outs."""

import pytest
from django.utils import timezone

from conversations.models import (
    InboundMessage,
)
from tests.support.builders import (
    ALICE,
    BOB,
    add_numbers,
    members,
    talk,
)
from tests.support.opt_outs import INBOUND, RECEIPTS
from tests.support.signing import signed_inbound, signed_receipt


@pytest.fixture(autouse=True)
def _operator(settings):
    settings.OPERATOR_NAME, settings.OPERATOR_CONTACT = "Ride Ltd", "help@ride.example"


@pytest.fixture
def text(client):
    """Return a function that posts a signed text to one of our numbers, and returns what was stored of it."""

    def text(sender, to, words, **fields):
        fields.setdefault("messageId", f"in-{InboundMessage.objects.count() + 1}")
        fields.setdefault("message-timestamp", f"{timezone.now():%Y-%m-%d %H:%M:%S}")
        params = signed_inbound(msisdn=sender[1:], to=to[1:], text=words, **fields)
        assert client.post(INBOUND, params, content_type="application/json").status_code == 200
        return InboundMessage.objects.get(carrier_message_id=fields["messageId"])

    return text


@pytest.fixture
def receipt(client):
    """Return a function that posts a signed receipt of a sent message."""

    def receipt(message, code, status="rejected"):
        params = signed_receipt(client_ref=message.carrier_ref, status=status, err_code=code)
        assert client.post(RECEIPTS, params, content_type="application/json").status_code == 200

    return receipt


@pytest.fixture
def pair(db):
    """Return Alice and Bob, who talk with each other, as participants."""
    add_numbers(4)
    return members(talk(ALICE, BOB))
