"""The fixtures of the tests of long messages."""

import pytest

from conversations.models import InboundMessage
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.long_messages import URL, params


@pytest.fixture
def alice_proxy(db):
    """Return the number through which Alice reaches Bob."""
    add_numbers(4)
    return proxies(talk(ALICE, BOB))[0]


@pytest.fixture
def receive_part(client, alice_proxy):
    """Return a function that receives one part of a long message, by default from Alice to Bob."""

    def receive_part(words, part, parts, **fields):
        fields.setdefault("to", alice_proxy)
        body = params(words, part, parts, **fields)
        assert client.post(URL, body, "application/json").status_code == 200
        return InboundMessage.objects.get(carrier_message_id=body["messageId"])

    return receive_part
