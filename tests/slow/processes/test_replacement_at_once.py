"""A number is replaced while worker processes are sending from it."""

import pytest

from conversations.delivery.outbox import queue_notice
from conversations.lifecycle.replace_number import replace
from conversations.models import OutboundMessage
from tests.support.builders import add_numbers, members, talk
from tests.support.relay_process import Relays, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


def test_messages_that_are_being_sent_from_a_replaced_number_are_not_overtaken_and_not_lost(tmp_path, stub):
    """The carrier refuses the old number, but answers only after the replacement."""
    [old] = add_numbers(1)
    people = [members(talk(f"+4477007000{index:02}", f"+4477008000{index:02}"))[0] for index in range(4)]
    add_numbers(2, start="+4477009006")
    stub.behave(senders={old.number[1:]: {"latency": 2, "sms_status": "15"}})
    for person in people:
        for text in ("1", "2", "3"):
            queue_notice(person, text)

    with Relays(tmp_path, stub, SEND_LEASE_SECONDS="30", CARRIER_TIMEOUT_SECONDS="10") as relays:
        relays.start()
        relays.start()
        wait_until(lambda: stub.requests)
        old.quarantine(reason="the carrier refuses it")
        assert all(each.to for each in replace(old))
        for person in people:
            person.refresh_from_db()
            queue_notice(person.current, "4")
        wait_until(lambda: not OutboundMessage.objects.unfinished().exists())

    for person in people:
        arrived = [
            request["params"]["text"]
            for request in stub.requests
            if request["params"]["to"] == person.real_number.number[1:]
            and request["params"]["from"] == person.current.proxy_number.number[1:]
        ]
        assert [text for text in arrived if len(text) == 1] == ["1", "2", "3", "4"]
    assert set(OutboundMessage.objects.values_list("state", flat=True)) == {"sent"}
