"""A block cancels what is queued from the blocked sender."""

import pytest

from conversations.models import OutboundMessage
from tests.support.blocks import EVERY_KIND, block_alice, block_the_pair
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, proxies, talk
from tests.support.outbox import history

pytestmark = pytest.mark.django_db


@EVERY_KIND
def test_what_is_queued_from_the_blocked_person_is_cancelled(write, block):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    write(ALICE, proxies(conversation)[0], "I know where you live")
    relay = OutboundMessage.objects.get()

    block()

    relay.refresh_from_db()
    assert relay.state == "cancelled"
    event = relay.events.first()
    assert (event.reason, event.actor) == ("its sender was blocked", "sam")


def test_what_is_queued_for_others_and_what_is_being_sent_stays(write):
    add_numbers(5)
    pair, other = talk(ALICE, BOB), talk(ALICE, CHARLIE)
    write(ALICE, proxies(pair)[0], "one")
    [sending] = OutboundMessage.objects.all()
    sending.transition("sending", reason="attempt 1")
    to_charlie = write(ALICE, proxies(other)[0], "two").relays.get()

    block_the_pair()

    sending.refresh_from_db()
    assert sending.state == "sending"
    assert history(to_charlie) == ["queued"]
    block_alice()
    assert history(to_charlie) == ["queued", "cancelled"]
