"""Staff block a person, a pair of people, or a prefix of numbers."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from conversations.insight.explain_route import explain_route
from conversations.models import Block, Conversation, InboundMessage, OutboundMessage
from conversations.trust.blocks import CannotBlock, block_pair, block_person, block_prefix, find_blocked, reach
from numbers.models import RealNumber
from smsproxy.carriers.base import LookupResult, LookupVerdict
from smsproxy.states import StaleState
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, talk
from tests.support.outbox import history, later

SATELLITE = "+881651512345"
WHO: dict[str, Any] = {"reason": "threats, reported by the other person", "actor": "sam"}

pytestmark = pytest.mark.django_db


def person(number):
    return RealNumber.objects.get_or_create_many([number])[number]


def block_alice(**options):
    return block_person(person(ALICE), **WHO | options)


def block_the_pair(**options):
    return block_pair(person(BOB), person(ALICE), **WHO | options)


def block_her_prefix(**options):
    return block_prefix(ALICE[:9], **WHO | options)


EVERY_KIND = pytest.mark.parametrize("block", [block_alice, block_the_pair, block_her_prefix])


# Inbound messages -----------------------------------------------------------------------------------------------------


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

    assert explain_route(STRANGER, number.number).why == "Staff have blocked the sender, or a prefix of their number."


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


# Queued messages ------------------------------------------------------------------------------------------------------


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


# What can be blocked --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "+", "+4", "44770", "+44x70", "+447700900001234", "++4477", "+447700900001"])
def test_a_prefix_is_a_plus_and_two_to_eleven_digits(prefix):
    with pytest.raises(CannotBlock, match="2 to 11 digits"):
        block_prefix(prefix, **WHO)


@pytest.mark.parametrize(
    ("prefix", "countries"),
    [("+44", "GB, GG, IM, JE"), ("+447", "GB, GG, IM, JE"), ("+35", "GI, PT"), ("+1246", "BB"), ("+881", "no country")],
)
def test_a_prefix_of_whole_countries_must_be_meant(prefix, countries):
    for number in (ALICE, BOB, "+12465550100"):
        person(number)

    with pytest.raises(CannotBlock, match=countries) as raised:
        block_prefix(prefix, **WHO)

    known = {"+44": 2, "+447": 2, "+1246": 1}.get(prefix, 0)
    assert f"It covers {known} of the people that we know" in str(raised.value)
    assert block_prefix(prefix, **WHO, accept_wide=True).prefix == prefix


@pytest.mark.parametrize("number", ["+12024561111", "+3312345678", "+29022222"])
def test_a_whole_number_is_no_prefix_so_that_no_list_shows_it(number):
    if number == "+3312345678":
        person(number)  # Not a valid number, but that of a person.

    with pytest.raises(CannotBlock, match="found a whole number") as raised:
        block_prefix(number, **WHO)

    assert number[3:] not in str(raised.value)


def test_a_prefix_may_be_written_with_spaces():
    assert block_prefix("+44 7700 900", **WHO).prefix == "+447700900"


def test_a_prefix_stops_the_other_spelling_of_its_numbers_too(write):
    """Mexico's numbers had a 1 behind the 52."""
    add_numbers(2)
    conversation = talk("+5215512345678", BOB)
    write("+5215512345678", proxies(conversation)[0], "hello")

    block_prefix("+525512", **WHO)

    assert [message.state for message in OutboundMessage.objects.all()] == ["cancelled"]
    assert write("+5215512345678", proxies(conversation)[0], "hello").outcome == "blocked"
    assert find_blocked([BOB, "+5215512345678"]) == (1, None)
    assert reach("+525512").people == 1


@pytest.mark.parametrize(
    ("prefix", "instead"),
    [
        ("+521", "+52"),
        ("+52155", "+5255"),
        ("+5491151", "+541151"),
        ("+551198", None),
        ("+551181", "+5511981"),
        ("+2254", "+225014 or +225054 or +225074"),
        ("+2250812", "+225070812"),
        ("+22508123456", "+2250708123456"),
        ("+22520", "+2252120 or +2252520 or +2252720"),
        ("+225070812", None),
        ("+22997", "+2290197"),
        ("+2290197", None),
        ("+5411", None),
    ],
)
def test_a_prefix_in_another_spelling_is_refused_with_the_one_to_type(prefix, instead):
    if instead is None:
        assert block_prefix(prefix, **WHO, accept_wide=True).prefix == prefix
        return
    with pytest.raises(CannotBlock) as raised:
        block_prefix(prefix, **WHO, accept_wide=True)
    assert str(raised.value).endswith(f"Type: {instead}")


def test_a_prefix_does_not_stop_a_number_that_only_begins_so_in_its_old_spelling(write):
    """The mobile 98... of São Paulo became 9 98..., so it is not one of those that begin with 98 today."""
    add_numbers(2)
    to = proxies(talk("+551198123456", BOB))[0]
    block_prefix("+551198", **WHO)

    assert write("+551198123456", to, "hello").outcome == "relayed"


def test_a_number_that_no_key_decrypts_does_not_stop_a_prefix():
    for number in (ALICE, BOB):
        person(number)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE numbers_realnumber SET number = 'broken' WHERE id = %s", [person(BOB).pk])

    assert reach("+447700").people == 1
    assert block_prefix("+447700", **WHO)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reason": " "}, "reason of 1 to 200"),
        ({"reason": "x" * 201}, "reason of 1 to 200"),
        ({"reason": f"calls {ALICE} all night"}, "without a phone number"),
        ({"until": timezone.now() - timedelta(seconds=1)}, "in the future"),
    ],
)
def test_a_block_needs_a_reason_and_a_future(options, message):
    for block in (block_alice, block_the_pair, block_her_prefix):
        with pytest.raises(CannotBlock, match=message):
            block(**options)
    assert not Block.objects.exists()


def test_a_pair_is_two_people():
    with pytest.raises(CannotBlock, match="same person twice"):
        block_pair(person(ALICE), person(ALICE), **WHO)


# New conversations ----------------------------------------------------------------------------------------------------


def create(api, *numbers, dry_run=False):
    people = [{"number": number, "label": f"Person {place}"} for place, number in enumerate(numbers)]
    return api.post(f"/api/v1/conversations/{'dry-run/' if dry_run else ''}", {"participants": people}, format="json")


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("block", "position", "detail"),
    [
        (block_alice, 1, "Participant 1 (Person 1): is blocked by staff."),
        (block_her_prefix, 0, "Participant 0 (Person 0): is blocked by staff."),  # Bob's number has the same.
        (block_the_pair, 1, "Participant 1 (Person 1): is blocked towards participant 0 by staff."),
    ],
)
def test_a_conversation_with_a_blocked_person_is_a_409_that_names_the_participant(
    api, carrier, settings, block, position, detail, dry_run
):
    settings.LOOKUP = "identity_insights"
    carrier.lookup = lambda number: LookupResult(verdict=LookupVerdict.VALID)
    add_numbers(2)
    block()

    answer = create(api, BOB, ALICE, dry_run=dry_run)

    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["detail"]) == (409, "blocked", detail)
    assert [each["pointer"] for each in problem["errors"]] == [f"/participants/{position}/number"]
    assert WHO["reason"] not in answer.content.decode()
    assert ALICE not in problem["detail"]
    assert not Conversation.objects.exists()
    assert carrier.looked_up == [], "no lookup is paid for"


def test_a_blocked_pair_may_talk_to_others_and_an_ended_block_hinders_nobody(api):
    add_numbers(4)
    pair = block_the_pair()
    past = block_alice(until=timezone.now() + timedelta(seconds=1))
    past.end(reason="a mistake", actor="sam")

    assert create(api, ALICE, CHARLIE).status_code == 201
    assert create(api, ALICE, BOB).status_code == 409
    pair.end(reason="they have talked", actor="sam")
    assert create(api, ALICE, BOB).status_code == 201


def test_without_blocks_a_creation_asks_once(api, django_assert_max_num_queries):
    add_numbers(2)
    with django_assert_max_num_queries(1):
        assert find_blocked([ALICE, BOB]) is None


def test_a_refused_text_is_counted_by_its_outcome(write):
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]
    block_alice()
    for _ in range(3):
        write(ALICE, to, "Hello?")

    assert InboundMessage.objects.filter(outcome="blocked").count() == 3
