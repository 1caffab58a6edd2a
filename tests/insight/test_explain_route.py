"""The explanation of a route equals the recorded outcome of a message."""

import json
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from conversations.insight.explain_route import explain_route
from conversations.lifecycle.request import NoNumberFree, OptedOut
from conversations.models import ConversationEvent, InboundMessage, OutboundMessage, Participant
from conversations.worker.periodic_jobs import run_jobs
from numbers.assignment.policy import ExhaustionPolicy
from numbers.models import NumberState, Pool, RealNumber, VirtualNumber
from smsproxy.states import StaleState
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, talk
from tests.support.hypothesis_profiles import examples
from tests.support.outbox import later
from tests.support.signing import signed_inbound

WEBHOOK = "/webhooks/vonage/inbound-sms"
URL = "/api/v1/routes/explain/"
HOUR = 3600
DAY = 24 * HOUR

pytestmark = pytest.mark.django_db

_ids = count(1)


def text(client, sender, to, words="Hello"):
    """Deliver a signed inbound message and return its stored row."""
    name = f"in-{next(_ids)}"
    params = signed_inbound(msisdn=sender[1:], to=to[1:], text=words, messageId=name)
    assert client.post(WEBHOOK, params, "application/json").status_code == 200
    return InboundMessage.objects.get(carrier_message_id=name)


def reopenings():
    return ConversationEvent.objects.filter(reason="a late text").count()


def explain_and_send(client, sender, to):
    """Return the explanation of a message, after asserting that the message has the same outcome."""
    explained, reopened_before = explain_route(sender, to), reopenings()

    message = text(client, sender, to)

    assert explained.outcome == message.outcome
    written_in = message.participant and message.participant.conversation.public_id
    assert (explained.conversation and explained.conversation.id) == written_in
    assert (explained.author and explained.author.position) == (message.participant and message.participant.position)
    relays = OutboundMessage.objects.filter(inbound=message).order_by("pk")
    assert [(each.position, each.proxy_number) for each in explained.recipients] == [
        (relay.participant.position, relay.sender.number) for relay in relays
    ]
    assert explained.reopens == (reopenings() > reopened_before)
    return explained


def replace(participant, number):
    """Give a participant another proxy number, with the same rows as a real replacement."""
    now = timezone.now()
    new = Participant(
        conversation=participant.conversation,
        position=participant.position,
        label=participant.label,
        real_number=participant.real_number,
        proxy_number=number,
        replaced_by=participant,  # Until the old row is marked: only one may be unreplaced.
        replaced_at=now,
    )
    new.save()
    Participant.objects.filter(pk=participant.pk).update(
        replaced_by=new, replaced_at=now, release_at=now + timedelta(days=7)
    )
    Participant.objects.filter(pk=new.pk).update(replaced_by=None, replaced_at=None)


# Relayed --------------------------------------------------------------------------------------------------------------


def test_an_open_conversation_is_explained_with_author_and_recipients(client):
    add_numbers(3)
    conversation = talk(ALICE, BOB, reference="order-42")
    alice_texts, bob_gets_from = proxies(conversation)

    explained = explain_and_send(client, ALICE, alice_texts)

    assert explained.is_passed_on
    assert (explained.conversation.reference, explained.conversation.state) == ("order-42", "open")
    assert (explained.author.label, explained.author.proxy_number) == ("Alice", alice_texts)
    assert [(to.label, to.proxy_number) for to in explained.recipients] == [("Bob", bob_gets_from)]
    assert (explained.virtual_number.number, explained.virtual_number.state) == (alice_texts, "active")
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
    assert explained.conversation.state == "open"
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
    assert explain_route(ALICE, retired.number).virtual_number.state == "retired"


def test_a_participant_whose_number_became_virtual_is_a_loop(client):
    add_numbers(2)
    to = proxies(talk("+447700900100", BOB))[0]
    add_numbers(1, start="+4477009001")

    explained = explain_and_send(client, "+447700900100", to)

    assert (explained.outcome, explained.conversation, explained.ways) == ("loop", None, ())


# Any history ----------------------------------------------------------------------------------------------------------

_PEOPLE = [ALICE, BOB, CHARLIE]
_NUMBERS = [f"+4477009005{index:02}" for index in range(3)]
_TALK = st.tuples(
    st.just("talk"),
    st.permutations(_PEOPLE),
    st.integers(2, 3),
    st.sampled_from(["end", "reopen"]),
    st.sampled_from([{}, {"ttl": HOUR}, {"idle_ttl": HOUR}]),
)
_TEXTS = st.tuples(st.just("text_all"), st.sampled_from([*_PEOPLE, STRANGER, _NUMBERS[0]]))
_STEPS = st.lists(
    st.one_of(
        _TALK,
        _TEXTS,
        st.tuples(st.just("close"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("reopen"), st.integers(0, 9)),
        st.tuples(st.just("replace"), st.integers(0, 9), st.sampled_from(_NUMBERS)),
        st.tuples(
            st.just("say"), st.sampled_from(_PEOPLE), st.sampled_from(["STOP", "START"]), st.sampled_from(_NUMBERS)
        ),
        st.tuples(st.just("wait"), st.sampled_from([HOUR / 2, HOUR, 3 * DAY, 8 * DAY]), st.booleans()),
    ),
    min_size=5,
    max_size=20,
)


class History:
    """Steps of a few people; impossible steps are skipped."""

    def __init__(self, client, time_machine):
        self.client, self.time_machine = client, time_machine
        self.made = []

    def talk(self, people, how_many, late_messages, times):
        with suppress(NoNumberFree, OptedOut):
            self.made.append(
                talk(*people[:how_many], late_messages=late_messages, on_exhausted=ExhaustionPolicy.SOFT, **times)
            )

    def close(self, index, permanent):
        for conversation in self._one(index):
            if conversation.state == "open":
                conversation.close(permanent=permanent)

    def reopen(self, index):
        for conversation in self._one(index):
            with suppress(StaleState):
                conversation.reopen()

    def replace(self, index, number):
        for conversation in self._one(index):
            someone = members(conversation)[index % 2]
            new = VirtualNumber.objects.get(number=number)
            free = not someone.real_number.participants.unreleased().filter(proxy_number=new).exists()
            if conversation.is_live() and free:
                replace(someone, new)

    def say(self, sender, words, number):
        text(self.client, sender, number, words)

    def wait(self, seconds, and_sweep):
        later(self.time_machine, seconds)
        if and_sweep:
            run_jobs()

    def text_all(self, sender):
        """Send one message to each virtual number, and one to an unknown number."""
        reached = {number for number in _NUMBERS if explain_route(sender, number).is_passed_on}
        nowhere = explain_and_send(self.client, sender, "+447700900777")
        assert {way.number for way in nowhere.ways} == reached
        for number in _NUMBERS:
            explain_and_send(self.client, sender, number)

    def _one(self, index):
        if self.made:
            conversation = self.made[index % len(self.made)]
            conversation.refresh_from_db()
            yield conversation


@pytest.mark.slow
@examples(fast=12, thorough=12)
@given(first=_TALK, steps=_STEPS)
def test_the_explanation_matches_the_outcome_after_any_history(db, client, time_machine, first, steps):
    time_machine.move_to("2026-11-24T12:00:00Z", tick=True)
    with transaction.atomic():
        add_numbers(len(_NUMBERS))
        history = History(client, time_machine)
        for verb, *arguments in [first, *steps, *(("text_all", person) for person in _PEOPLE)]:
            getattr(history, verb)(*arguments)
        transaction.set_rollback(True)


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


# manage.py explain_route ----------------------------------------------------------------------------------------------


@pytest.fixture
def to(db):
    """Return the proxy number that Alice texts to reach Bob."""
    add_numbers(3)
    return proxies(talk(ALICE, BOB, reference="order-42"))[0]


def has_no_real_number(output):
    assert not [number for number in (ALICE, BOB, CHARLIE, STRANGER) if number[1:] in output]
    return True


def test_the_command_prints_the_route_and_exits_with_0(run, to):
    code, output = run("explain_route", ALICE, to)

    assert code == 0
    assert output.startswith("RELAYED: The pair belongs to participant 0, and the conversation is open.")
    assert f"number        {to}, active, common pool" in output
    assert "“order-42”, open, common pool" in output
    assert "goes to       participant 1 (Bob), whose proxy number is +4477009005" in output
    assert has_no_real_number(output)


def test_the_command_exits_with_3_if_the_message_would_reach_nobody(run, to):
    code, output = run("explain_route", STRANGER, to)

    assert code == 3
    assert "It would not be relayed: no route." in output
    assert has_no_real_number(output)


def test_the_real_number_can_come_from_standard_input(run, to):
    assert run("explain_route", "-", to, types=f"{ALICE}\n")[0] == 0
    assert run("explain_route", "-", to, types="")[0] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        ["07700900042", "+447700900500"],
        ["+447700900500", "07700 900042"],
        ["+44", "7700", "900042", "+447700900500"],
        ["+447700900042"],
        ["+4477009000427700900042", "+447700900500"],
    ],
)
def test_an_invalid_number_is_a_usage_error_that_does_not_quote_it(run, db, wrong):
    code, output = run("explain_route", *wrong)

    assert code == 2
    assert "xpected" in output
    assert "900042" not in output


# GET /api/v1/routes/explain/ ------------------------------------------------------------------------------------------


def ask(api, sender, to, **query):
    return api.get(URL, {"to": to, **query}, headers={"From-Number": sender})


def test_the_api_returns_the_json_of_the_command(api, run, to):
    for sender in (ALICE, STRANGER):
        answer = ask(api, sender, to)

        assert answer.status_code == 200
        printed = run("explain_route", sender, to, "--json")[1]
        assert answer.json() == json.JSONDecoder().raw_decode(printed)[0]
        assert answer["Cache-Control"] == "no-store"
        assert has_no_real_number(answer.content.decode())


def test_the_api_response_has_the_documented_fields(api, to):
    found = ask(api, ALICE, to).json()

    assert found["outcome"] == "relayed"
    assert found["virtual_number"] == {"number": to, "state": "active", "pool": None}
    assert found["conversation"]["reference"] == "order-42"
    assert found["author"] == {"position": 0, "label": "Alice", "proxy_number": to}
    assert [each["label"] for each in found["recipients"]] == ["Bob"]


@pytest.mark.parametrize("name", ["from", "number", "From-Number", "msisdn", "x", ALICE])
def test_a_real_number_in_the_url_is_rejected_and_not_quoted(api, to, name):
    answer = ask(api, ALICE, to, **{name: ALICE})

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "number_in_address"
    assert "From-Number" in answer.json()["detail"]
    assert has_no_real_number(answer.content.decode())


@pytest.mark.parametrize(
    ("headers", "query", "code"),
    [
        ({}, "to=%2B447700900500", "from_number_missing"),
        ({"From-Number": "07700900042"}, "to=%2B447700900500", "from_number_not_e164"),
        ({"From-Number": ALICE}, "", "to_not_e164"),
        ({"From-Number": ALICE}, "to=+447700900042", "to_not_e164"),
        ({"From-Number": ALICE}, "to=%00", "to_not_e164"),
    ],
)
def test_an_invalid_request_is_a_400_that_says_what_was_expected(api, headers, query, code):
    answer = api.get(f"{URL}?{query}", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert "xpected" in answer.json()["detail"]
    assert "900042" not in answer.content.decode()


def test_a_real_number_in_place_of_the_virtual_one_is_not_quoted(api, to):
    answer = ask(api, to, ALICE)

    assert answer.json()["virtual_number"] is None
    assert has_no_real_number(answer.content.decode())


def test_the_api_requires_a_key(client, to):
    answer = client.get(URL, {"to": to}, headers={"From-Number": ALICE})

    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
