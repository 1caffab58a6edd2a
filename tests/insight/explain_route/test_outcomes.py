"""The explanation of a route equals the recorded outcome of a message."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations.insight.explain_route import explain_route
from conversations.models import InboundMessage
from conversations.worker.periodic_jobs import run_jobs
from numbers.assignment.policy import ExhaustionPolicy
from numbers.models import NumberState, Pool, RealNumber, VirtualNumber
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, talk
from tests.support.explanations import explain_and_send, replace, text
from tests.support.outbox import later

pytestmark = pytest.mark.django_db

HOUR = 3600

# Relayed --------------------------------------------------------------------------------------------------------------


def test_an_open_conversation_is_explained_with_author_and_recipients(client):
    add_numbers(3)
    conversation = talk(ALICE, BOB, reference="order-42")
    alice_texts, bob_gets_from = proxies(conversation)

    explained = explain_and_send(client, ALICE, alice_texts)

    assert explained.is_passed_on
    assert (explained.conversation.reference, explained.conversation.status) == ("order-42", "open")
    assert (explained.author.label, explained.author.proxy_number) == ("Alice", alice_texts)
    assert [(to.label, to.proxy_number) for to in explained.recipients] == [("Bob", bob_gets_from)]
    assert (explained.virtual_number.number, explained.virtual_number.status) == (alice_texts, "active")
    assert explained.ways == ()


def test_a_group_message_goes_to_all_other_participants(client):
    add_numbers(3)

    explained = explain_and_send(client, BOB, proxies(talk(ALICE, BOB, CHARLIE))[1])

    assert [to.label for to in explained.recipients] == ["Alice", "Charlie"]


def test_a_person_who_has_opted_out_is_not_among_the_recipients_of_a_group(client):
    add_numbers(3)
    first, second, third = proxies(talk(ALICE, BOB, CHARLIE))
    text(client, BOB, second, "STOP")

    explained = explain_and_send(client, ALICE, first)

    assert [each.proxy_number for each in explained.recipients] == [third]


def test_the_explanation_says_who_has_opted_out(client):
    add_numbers(2)
    alices, bobs = proxies(talk(ALICE, BOB))
    text(client, BOB, bobs, "STOP")

    to_bob, from_bob = explain_and_send(client, ALICE, alices), explain_and_send(client, BOB, bobs)
    elsewhere = explain_and_send(client, BOB, alices)

    assert to_bob.why == "Nobody receives it: the other participants have opted out with STOP."
    for explained in (from_bob, elsewhere):
        assert explained.why.startswith("The sender has opted out with STOP, at ")
        assert explained.why.endswith("START ends that.")
    assert list(elsewhere.ways) == []


def test_the_explanation_names_the_pool(client):
    pool = Pool.objects.create(name="berlin")
    add_numbers(2)
    VirtualNumber.objects.update(pool=pool)

    explained = explain_and_send(client, ALICE, proxies(talk(ALICE, BOB, pool=pool))[0])

    assert (explained.conversation.pool, explained.virtual_number.pool) == ("berlin", "berlin")


def test_a_replaced_number_still_reaches_the_others_and_the_explanation_says_so(client):
    numbers = add_numbers(3)
    alice, bob = members(talk(ALICE, BOB))
    [spare] = set(numbers) - {alice.proxy_number, bob.proxy_number}
    replace(alice, spare)

    by_the_old, by_the_new = (explain_and_send(client, ALICE, to) for to in (alice.proxy_number.number, spare.number))

    assert by_the_old.conversation == by_the_new.conversation
    assert "another number now" in by_the_old.why
    assert "another number" not in by_the_new.why
    assert by_the_old.cools_down_until
    to_alice = explain_and_send(client, BOB, bob.proxy_number.number).recipients
    assert [to.proxy_number for to in to_alice] == [spare.number]


# After the end --------------------------------------------------------------------------------------------------------


def test_a_closed_conversation_is_explained_with_the_end_of_its_cool_down(client):
    add_numbers(3)
    conversation = talk(ALICE, BOB)
    conversation.close()

    explained = explain_and_send(client, ALICE, proxies(conversation)[0])

    assert explained.outcome == "ended"
    assert explained.conversation.id == conversation.public_id
    assert explained.recipients == ()
    assert explained.cools_down_until == members(conversation)[0].release_at
    assert "late texts get the notice that it has ended" in explained.why


@pytest.mark.parametrize(("option", "how"), [("ttl", "expired"), ("idle_ttl", "nobody wrote")])
@pytest.mark.parametrize(("late_messages", "outcome"), [("end", "ended"), ("reopen", "relayed")])
def test_an_expired_conversation_has_ended_even_before_the_periodic_job(
    client, time_machine, option, how, late_messages, outcome
):
    add_numbers(2)
    options: dict[str, Any] = {option: HOUR, "late_messages": late_messages}
    conversation = talk(ALICE, BOB, **options)
    later(time_machine, HOUR + 1)

    explained = explain_and_send(client, ALICE, proxies(conversation)[0])

    assert explained.outcome == outcome
    assert explained.conversation.status == "closed"
    assert how in explained.why


def test_a_late_message_that_reopens_its_conversation_is_announced(client):
    add_numbers(2)
    conversation = talk(ALICE, BOB, late_messages="reopen")
    conversation.close()

    first, second = (explain_and_send(client, ALICE, proxies(conversation)[0]) for _ in range(2))

    assert first.reopens
    assert "reopens it" in first.why
    assert not second.reopens
    assert [to.label for to in first.recipients] == ["Bob"]


def test_a_conversation_that_lost_a_number_is_not_reopened_and_the_explanation_says_why(client):
    add_numbers(1)
    conversation = talk(ALICE, BOB, late_messages="reopen")
    conversation.close()
    talk(ALICE, CHARLIE, on_exhausted=ExhaustionPolicy.SOFT)

    explained = explain_and_send(client, BOB, proxies(conversation)[1])

    assert explained.outcome == "ended"
    assert explained.conversation.id == conversation.public_id
    assert "may be in another conversation" in explained.why


# No route -------------------------------------------------------------------------------------------------------------


def test_a_released_pair_is_explained_with_its_last_conversation(client, time_machine, settings):
    add_numbers(2)
    conversation = talk(ALICE, BOB, reference="order-42")
    conversation.close()
    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()

    explained = explain_and_send(client, ALICE, proxies(conversation)[0])

    assert explained.outcome == "no_route"
    assert explained.conversation is None
    assert explained.last.conversation.reference == "order-42"
    assert explained.last.until == members(conversation)[0].released_at
    assert explained.sender_is_known


def test_a_wrong_number_is_explained_with_the_sender_s_open_routes(client):
    add_numbers(4)
    with_bob, with_charlie, ended = talk(ALICE, BOB), talk(ALICE, CHARLIE), talk(ALICE, "+447700900004")
    ended.close()
    theirs = [proxies(each)[0] for each in (with_bob, with_charlie, ended)]
    [wrong] = VirtualNumber.objects.exclude(number__in=theirs)

    explained = explain_and_send(client, ALICE, wrong.number)

    assert explained.outcome == "no_route"
    assert explained.last is None
    assert [(way.number, way.conversation_id) for way in explained.ways] == [
        (proxies(with_charlie)[0], with_charlie.public_id),
        (proxies(with_bob)[0], with_bob.public_id),
    ]


def test_an_unknown_sender_an_unknown_number_and_our_own_number_are_distinguished(client):
    ours, other, retired = add_numbers(3)
    VirtualNumber.objects.filter(pk=retired.pk).update(state=NumberState.RETIRED)
    talk(ALICE, BOB)

    stranger = explain_and_send(client, STRANGER, ours.number)
    nowhere = explain_and_send(client, ALICE, "+447700900777")
    ourselves = explain_and_send(client, other.number, ours.number)

    assert (stranger.outcome, stranger.sender_is_known) == ("no_route", False)
    assert "sender is unknown" in stranger.why
    assert (nowhere.outcome, nowhere.virtual_number) == ("no_route", None)
    assert nowhere.sender_is_known
    assert ourselves.outcome == "loop"
    assert ourselves.ways == ()
    assert explain_route(ALICE, retired.number).virtual_number.status == "retired"


def test_a_participant_whose_number_became_virtual_is_a_loop(client):
    add_numbers(2)
    to = proxies(talk("+447700900100", BOB))[0]
    add_numbers(1, start="+4477009001")

    explained = explain_and_send(client, "+447700900100", to)

    assert (explained.outcome, explained.conversation, explained.ways) == ("loop", None, ())


# Read-only ------------------------------------------------------------------------------------------------------------


def test_an_explanation_writes_nothing_and_locks_nothing():
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]

    with CaptureQueriesContext(connection) as queries:
        for sender in (ALICE, STRANGER, BOB):
            explain_route(sender, to)

    assert len(queries) > 5
    for query in queries:
        assert query["sql"].strip().startswith("SELECT")
        assert "FOR NO KEY UPDATE" not in query["sql"]
    assert not RealNumber.objects.with_number(STRANGER).exists()
    assert not InboundMessage.objects.exists()
