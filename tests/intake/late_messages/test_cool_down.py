"""Late messages after the cool-down, or after it was cut short."""

import pytest

from conversations.worker.periodic_jobs import run_jobs
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, proxies, talk
from tests.support.late_messages import HOUR, new_conversation, pass_time, relayed_to, reload, text_from

pytestmark = pytest.mark.django_db


def test_cutting_one_cool_down_short_ends_the_conversation_for_both_participants():
    add_numbers(1)
    conversation = talk(ALICE, BOB, late_messages="reopen")
    conversation.close()
    with_charlie = talk(ALICE, CHARLIE, on_exhausted="soft")

    from_bob, from_alice = text_from(1, conversation), text_from(0, conversation)

    assert from_bob.outcome == "ended"
    assert reload(conversation).state == "closed"
    # Alice's number now serves another conversation of hers, and no other person's.
    assert (from_alice.outcome, from_alice.participant.conversation) == ("relayed", with_charlie)
    assert relayed_to() == [CHARLIE]


@pytest.mark.parametrize("late_messages", ["end", "reopen"])
def test_after_the_cool_down_a_late_message_reaches_nobody(time_machine, settings, late_messages):
    conversation = new_conversation(late_messages=late_messages)
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()
    strangers = talk(CHARLIE, "+447700900004")
    assert set(proxies(strangers)) == set(proxies(conversation))

    late = text_from(0, conversation)

    assert (late.outcome, late.participant) == ("no_route", None)
    assert relayed_to() == []
    assert reload(conversation).state == "closed"


def test_after_the_cool_down_a_late_message_reaches_its_senders_own_next_conversation(time_machine, settings):
    add_numbers(1)
    conversation = talk(ALICE, BOB, late_messages="reopen")
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()
    mine = talk(ALICE, CHARLIE)

    assert text_from(0, conversation).participant.conversation == mine
    assert text_from(1, conversation).outcome == "no_route"
    assert relayed_to() == [CHARLIE]


def test_cooling_numbers_are_not_given_to_another_conversation_of_the_same_person(time_machine, settings):
    conversation = new_conversation()
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS - HOUR)
    run_jobs()

    assert proxies(talk(ALICE, CHARLIE))[0] != proxies(conversation)[0]
