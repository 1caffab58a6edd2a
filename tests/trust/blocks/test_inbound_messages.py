"""A blocked sender, or the sender of a blocked pair, reaches nobody."""

from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.insight.explain_route import explain_route
from conversations.models import Block, OutboundMessage
from conversations.trust.blocks import block_person, block_prefix
from numbers.models import RealNumber
from smsproxy.states import StaleState
from tests.support.blocks import EVERY_KIND, WHO, block_alice, block_the_pair, person
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, talk
from tests.support.outbox import later

SATELLITE = "+881651512345"

pytestmark = pytest.mark.django_db


@EVERY_KIND
def test_a_blocked_sender_s_text_is_stored_and_reaches_nobody(write, block):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    block()

    message = write(ALICE, proxies(conversation)[0], "I know where you live")

    assert message.outcome == "blocked"
    assert message.text == "I know where you live"
    assert not OutboundMessage.objects.exists(), "silence"


@EVERY_KIND
def test_a_block_ends_by_itself(write, block, time_machine):
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]
    block(until=timezone.now() + timedelta(hours=1))
    assert write(ALICE, to, "Hello?").outcome == "blocked"

    later(time_machine, 3601)

    assert write(ALICE, to, "Hello again").outcome == "relayed"


@EVERY_KIND
def test_a_block_that_staff_end_applies_no_more(write, block):
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]
    made = block()

    made.end(reason="they have talked", actor="kim")

    assert write(ALICE, to, "Sorry").outcome == "relayed"
    made.refresh_from_db()
    assert (made.ended_by, made.ended_reason, made.is_active) == ("kim", "they have talked", False)
    with pytest.raises(StaleState):
        Block.objects.get().end(reason="again", actor="kim")


def test_others_still_reach_a_blocked_person(write):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    block_alice()

    assert write(BOB, proxies(conversation)[1], "Leave me alone").outcome == "relayed"


def test_a_blocked_pair_is_blocked_both_ways_and_with_nobody_else(write):
    add_numbers(4)
    pair, other = talk(ALICE, BOB), talk(ALICE, CHARLIE)
    block_the_pair()

    assert write(ALICE, proxies(pair)[0], "Hello?").outcome == "blocked"
    assert write(BOB, proxies(pair)[1], "Hello?").outcome == "blocked"
    assert write(ALICE, proxies(other)[0], "Hello?").outcome == "relayed"
    assert write(CHARLIE, proxies(other)[1], "Hello!").outcome == "relayed"


def test_in_a_group_a_blocked_pair_only_excludes_each_other(write):
    add_numbers(3)
    conversation = talk(ALICE, BOB, CHARLIE)
    alice, bob, charlie = members(conversation)
    block_the_pair()

    from_alice = write(ALICE, alice.proxy_number.number, "Hello all")
    from_charlie = write(CHARLIE, charlie.proxy_number.number, "Hello both")

    assert from_alice.outcome == from_charlie.outcome == "relayed"
    assert [relay.participant for relay in from_alice.relays.all()] == [charlie]
    assert {relay.participant for relay in from_charlie.relays.all()} == {alice, bob}
    assert from_alice.relays.get().text == "Alice: Hello all", "it is still a group"


def test_a_prefix_blocks_strangers_too_and_no_other_number(write):
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]
    block_prefix("+88165", **WHO)

    assert write(SATELLITE, to, "Hello?").outcome == "blocked"
    assert write(ALICE, to, "Hello?").outcome == "relayed"


def test_the_setting_gives_a_blocked_sender_one_notice(write, settings):
    settings.BLOCKED_NOTICE = "Your messages are not passed on at the moment."
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]
    block_alice()

    for _ in range(20):
        write(ALICE, to, "Hello?")

    notice = OutboundMessage.objects.get()
    assert notice.text == settings.BLOCKED_NOTICE
    assert (notice.recipient.number, notice.sender.number) == (ALICE, to)


@EVERY_KIND
def test_explain_route_says_that_the_sender_is_blocked(block):
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]
    block()

    found = explain_route(ALICE, to)

    assert found.outcome == "blocked"
    assert "blocked" in found.why.removeprefix("BLOCKED")
    assert found.recipients == ()


def test_explain_route_says_it_of_a_sender_without_a_conversation(write):
    [number] = add_numbers(1)
    block_person(person(STRANGER), **WHO)

    assert explain_route(STRANGER, number.number).why == "The sender is blocked, or a prefix of their number."


def test_explain_route_names_only_those_who_receive_it():
    add_numbers(3)
    conversation = talk(ALICE, BOB, CHARLIE)
    block_the_pair()

    found = explain_route(ALICE, proxies(conversation)[0])

    assert [each.label for each in found.recipients] == ["Charlie"]
    assert "Others of them do not get it" in found.why


def test_explain_route_says_that_the_sender_has_opted_out():
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]
    RealNumber.objects.with_number(ALICE).update(opted_out_at=timezone.now())

    found = explain_route(ALICE, to)

    assert found.outcome == "opted_out"
    assert found.why.startswith("The sender has opted out with STOP, at ")
