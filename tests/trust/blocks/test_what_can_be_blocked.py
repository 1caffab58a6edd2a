"""A person, a pair of two people, or a prefix of numbers, with a reason."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from conversations.models import Block, OutboundMessage
from conversations.trust.blocks import (
    AlreadyBlocked,
    CannotBlock,
    block_pair,
    block_person,
    block_prefix,
    find_blocked,
    reach,
)
from numbers.models import RealNumber
from tests.support.blocks import WHO, block_alice, block_her_prefix, block_the_pair, person
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.concurrency import at_once, wait_for_a_lock

pytestmark = pytest.mark.django_db


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
    assert find_blocked([BOB, "+5215512345678"], service_id=1) == (1, None)
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
        ({"reason": "calls 07700 900001 all night"}, "without a phone number"),
        ({"until": timezone.now() - timedelta(seconds=1)}, "in the future"),
    ],
)
def test_a_block_needs_a_reason_and_a_future(options, message):
    for block in (block_alice, block_the_pair, block_her_prefix):
        with pytest.raises(CannotBlock, match=message):
            block(**options)
    assert not Block.objects.exists()


@pytest.mark.parametrize("block", [block_alice, block_the_pair, block_her_prefix])
def test_the_same_block_is_not_made_twice_while_it_is_active(block):
    first = block()
    with pytest.raises(AlreadyBlocked) as refused:
        block()
    assert refused.value.block == first

    first.end(reason="they have talked", actor="kim")
    assert block() != first


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_pair", [False, True])
def test_of_the_same_block_by_three_at_once_one_is_made(is_pair):
    alice, bob = person(ALICE), person(BOB)

    def block(index):
        pair = [alice, bob] if index else [bob, alice]
        try:
            return block_pair(*pair, **WHO) if is_pair else block_person(alice, **WHO)
        except AlreadyBlocked as refused:
            return refused.block

    with ThreadPoolExecutor(1) as beside:
        with transaction.atomic():
            RealNumber.objects.lock([alice])
            done = beside.submit(at_once, 3, block)
            wait_for_a_lock(3, unless=done.done)
        made = done.result()

    assert set(made) == {Block.objects.get()}


def test_a_pair_is_two_people():
    with pytest.raises(CannotBlock, match="same person twice"):
        block_pair(person(ALICE), person(ALICE), **WHO)
