"""Texts that are older than their conversation, while another transaction holds its lock."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from conversations.delivery import outbox
from conversations.intake import fast_path
from conversations.intake.receive import receive
from conversations.models import Conversation, InboundMessage, OutboundMessage, Participant
from smsproxy.carriers.base import InboundText
from tests.support.builders import ALICE, BOB, add_numbers, members, proxies, talk
from tests.support.concurrency import wait_for_a_lock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


@pytest.fixture
def first_and_second():
    """Two conversations of Alice and Bob, one after the other with the same numbers. In both, a text to Bob waits."""
    add_numbers(1)
    first = talk(ALICE, BOB)
    outbox.queue_notice(members(first)[1], "hello")
    first.close()
    now = timezone.now()
    Participant.objects.update(created_at=now - timedelta(days=2), released_at=now - timedelta(days=1))
    second = talk(ALICE, BOB)
    outbox.queue_notice(members(second)[1], "hello")
    assert proxies(second) == proxies(first)
    return first, second


class Arrival(threading.Thread):
    """A text that is received in a thread of its own. error: what it raised."""

    def __init__(self, sender, to, text, sent_at):
        super().__init__()
        self.error = None
        self._text = InboundText(carrier_message_id=text, sender=sender, recipient=to, text=text, sent_at=sent_at)
        self.start()

    def run(self):
        try:
            receive(self._text)
        except Exception as error:  # noqa: BLE001
            self.error = error
        finally:
            connection.close()


@pytest.mark.parametrize("older", ["on my way", "HELP", "stop"])
def test_an_older_text_and_a_stop_at_once_are_both_processed(first_and_second, older):
    first, second = first_and_second
    [to, _] = proxies(second)

    with transaction.atomic():
        # The older text would be the next to hold the second conversation, and then want the first.
        Conversation.objects.lock([second.pk])
        late = Arrival(ALICE, to, older, timezone.now() - timedelta(hours=36))
        wait_for_a_lock(unless=lambda: not late.is_alive())
        # The STOP holds the first conversation and wants the second.
        stop = Arrival(BOB, to, "STOP", timezone.now())
        wait_for_a_lock(2 if late.is_alive() else 1)
    for each in (late, stop):
        each.join(60)

    assert (late.error, stop.error) == (None, None)
    assert InboundMessage.objects.get(carrier_message_id=older).participant == members(first)[0]
    notices = OutboundMessage.objects.filter(kind="notice", recipient=members(first)[1].real_number)
    assert [each.state for each in notices] == ["cancelled", "cancelled"]


def test_a_text_that_a_slow_clock_dates_before_its_conversation_waits_for_it_nevertheless(monkeypatch):
    monkeypatch.setattr(fast_path, "is_available", lambda: False)
    add_numbers(1)
    conversation = talk(ALICE, BOB)

    with transaction.atomic():
        Conversation.objects.lock([conversation.pk])
        arrival = Arrival(ALICE, proxies(conversation)[0], "hello", conversation.created_at - timedelta(seconds=1))
        wait_for_a_lock()
    arrival.join(60)

    assert arrival.error is None
    assert InboundMessage.objects.get().outcome == "relayed"
