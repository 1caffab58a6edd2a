"""Creation for a person without a free number: a cool-down is cut short, or the request is rejected."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from conversations.intake import long_messages, receive
from conversations.lifecycle import choose_numbers, cut_cool_down
from conversations.lifecycle.replace_number import replace
from conversations.lifecycle.request import NoNumberFree
from conversations.models import (
    Conversation,
    ConversationEvent,
    InboundMessage,
    OutboundMessage,
    OutboundState,
    Participant,
)
from conversations.models.inbound import InboundMessageQuerySet
from conversations.worker.periodic_jobs import run_jobs
from numbers.assignment.policy import ExhaustionPolicy
from numbers.models import Shortage, VirtualNumber
from smsproxy.carriers.base import InboundText
from tests.support.api_requests import URL, asked_for, chosen_by, counts_are_right, given, is_refused
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk
from tests.support.concurrency import wait_for_a_lock
from tests.support.outbox import later, queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def cooling(db, time_machine):
    """Return three ended conversations of Alice, oldest first, whose cooling pairs take every number."""
    add_numbers(3)
    ended = []
    for other in (BOB, CHARLIE, "+447700900004"):
        ended.append(talk(ALICE, other, reference=other[-1]))
    for conversation in ended:
        conversation.close()
        later(time_machine, 60)
    return ended


def test_the_strict_policy_answers_409(create, cooling):
    problem = is_refused(create(ALICE, "+447700900005", on_exhausted="strict"), 409, "no_number_free")

    assert "manage.py" not in str(problem)
    assert "manage.py provision_numbers" in Shortage.objects.get().reason
    assert not Participant.objects.exclude(released_at=None).exists()


def test_the_soft_policy_cuts_the_oldest_cool_down_short_and_records_it(create, cooling):
    oldest = cooling[0]

    answers = [create(ALICE, f"+44770090001{index}", on_exhausted="soft") for index in range(3)]

    assert [given(answer)[0] for answer in answers] == [proxies(each)[0] for each in cooling]
    assert {chosen_by(answer)[0] for answer in answers} == {"cut short"}
    alice, bob = members(oldest)
    assert (bool(alice.released_at), bool(bob.released_at)) == (True, False)
    event = oldest.events.first()
    assert (event.old_state, event.new_state) == ("closed", "closed")
    assert "the cool-down of participant 0 was cut short" in event.reason
    assert counts_are_right()
    is_refused(create(ALICE, "+447700900019", on_exhausted="soft"), 409, "no_number_free")


def test_no_cool_down_is_cut_short_in_its_first_minutes(create, cooling, settings, time_machine):
    settings.SOFT_COOL_DOWN_SECONDS = 600
    is_refused(create(ALICE, "+447700900005", on_exhausted="soft"), 409, "no_number_free")

    later(time_machine, 420)  # The first of the three ended 60 seconds before the next, and so on.

    assert given(create(ALICE, "+447700900005", on_exhausted="soft"))[0] == proxies(cooling[0])[0]
    is_refused(create(ALICE, "+447700900006", on_exhausted="soft"), 409, "no_number_free")


def test_the_oldest_cool_down_is_that_of_the_conversation_that_ended_first(create, cooling, settings, time_machine):
    settings.COOL_DOWN_SECONDS -= 3600
    newest = cooling[2].reopen().close()
    assert Participant.objects.cooling().earliest("release_at").conversation == newest

    answer = create(ALICE, "+447700900005", on_exhausted="soft")

    assert given(answer)[0] == proxies(cooling[0])[0]


def test_the_soft_policy_prefers_a_free_number(create, cooling):
    add_numbers(1, start="+4477009006")

    assert chosen_by(create(ALICE, "+447700900005", on_exhausted="soft"))[0] == "own country"
    assert not ConversationEvent.objects.filter(reason__contains="cut short").exists()


@pytest.mark.parametrize("state", ["queued", "sending", "unknown"])
def test_the_cool_down_of_a_number_with_an_unsettled_message_is_not_cut_short(create, cooling, state):
    [message] = queue(members(cooling[0])[0], "Are you there?")
    OutboundMessage.objects.filter(pk=message.pk).update(state=state, lease_until=timezone.now())

    answer = create(ALICE, "+447700900005", on_exhausted="soft")

    assert given(answer)[0] == proxies(cooling[1])[0]
    OutboundMessage.objects.filter(pk=message.pk).update(state=OutboundState.SENT, lease_until=None)
    assert given(create(ALICE, "+447700900006", on_exhausted="soft"))[0] == proxies(cooling[0])[0]


def test_the_cool_down_of_a_number_with_a_queued_ended_notice_is_not_cut_short(create, cooling, settings):
    """The notice would seem to be about the new conversation."""
    to = proxies(cooling[0])[0]
    receive.receive(InboundText(carrier_message_id="late", sender=ALICE, recipient=to, text="hello?"))
    assert OutboundMessage.objects.get().text == settings.ENDED_NOTICE

    assert given(create(ALICE, "+447700900005", on_exhausted="soft"))[0] == proxies(cooling[1])[0]


def part_from_alice(to, part=1, id="part"):
    """Receive one of two parts of a long message from Alice."""
    text = InboundText(
        carrier_message_id=f"{id}-{part}",
        sender=ALICE,
        recipient=to,
        text=f"<{part}>",
        concat_ref="7",
        part=part,
        parts=2,
    )
    long_messages.take_in(text)


def test_the_cool_down_of_a_number_with_an_open_long_message_is_not_cut_short(create, cooling):
    to = proxies(cooling[0])[0]
    part_from_alice(to)

    assert given(create(ALICE, "+447700900005", on_exhausted="soft"))[0] == proxies(cooling[1])[0]
    part_from_alice(to, 2)
    OutboundMessage.objects.update(state=OutboundState.SENT)
    assert given(create(ALICE, "+447700900006", on_exhausted="soft"))[0] == to


def test_a_part_after_the_cut_does_not_reach_the_new_conversation(create, time_machine, settings):
    """The only pair has an open long message, so it is given away only when that has ended."""
    add_numbers(1)
    first = talk(ALICE, BOB)
    to = proxies(first)[0]
    part_from_alice(to)
    first.close()
    is_refused(create(ALICE, CHARLIE, on_exhausted="soft"), 409, "no_number_free")
    later(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)
    run_jobs()
    OutboundMessage.objects.update(state=OutboundState.SENT)
    assert given(create(ALICE, CHARLIE, on_exhausted="soft"))[0] == to

    part_from_alice(to, 2)
    later(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)
    run_jobs()

    joined = InboundMessage.objects.filter(carrier_message_id__startswith="long:").order_by("pk")
    assert [(each.outcome, each.text) for each in joined] == [("ended", "<1>[...]"), ("ended", "[...]<2>")]
    assert not OutboundMessage.objects.filter(kind="relay").exists()


def test_another_long_message_with_the_same_reference_reaches_the_new_conversation(create, time_machine, settings):
    """Phones use few references. It has a part that the earlier one had, so it is another message."""
    add_numbers(1)
    first = talk(ALICE, BOB)
    to = proxies(first)[0]
    part_from_alice(to)
    first.close()
    later(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)
    run_jobs()
    OutboundMessage.objects.update(state=OutboundState.SENT)
    later(time_machine, 24 * 3600)
    assert given(create(ALICE, CHARLIE, on_exhausted="soft"))[0] == to

    part_from_alice(to, 2, id="again")
    part_from_alice(to, 1, id="again")

    assert OutboundMessage.objects.get(kind="relay").text == "<1><2>"


@pytest.mark.parametrize("state", ["queued", "sending", "unknown"])
def test_the_cool_down_of_a_person_whose_own_message_is_unsettled_is_not_cut_short(create, cooling, state):
    """If it is lost, their notice comes from this number."""
    oldest = cooling[0].reopen()
    receive.receive(InboundText(carrier_message_id="m", sender=ALICE, recipient=proxies(oldest)[0], text="hello"))
    oldest.close()
    cooling[0].closed_at = cooling[1].closed_at - timedelta(seconds=60)
    cooling[0].save()
    OutboundMessage.objects.filter(recipient__participants=members(oldest)[1]).update(state=state)

    answer = create(ALICE, "+447700900005", on_exhausted="soft")

    assert given(answer)[0] == proxies(cooling[1])[0]
    OutboundMessage.objects.update(state=OutboundState.SENT)
    assert given(create(ALICE, "+447700900006", on_exhausted="soft"))[0] == proxies(oldest)[0]


def test_the_cool_down_of_a_replaced_number_in_an_open_conversation_is_not_cut_short(create):
    """The replaced number still routes to that conversation."""
    old, new = add_numbers(2)
    VirtualNumber.objects.filter(pk=new.pk).update(is_reserved=True)
    talk(ALICE, BOB)
    old.refresh_from_db()
    list(replace(old, [new]))
    old.refresh_from_db()
    old.restore(reason="it is well again")

    is_refused(create(ALICE, CHARLIE, on_exhausted="soft"), 409, "no_number_free")


@pytest.fixture
def concurrently(monkeypatch):
    """Return a function that makes an action run once, between the choice of a cooling pair and its release."""
    release = cut_cool_down.release_early

    def run_before_release(action):
        def work():
            action()
            connection.close()

        def act_then_release(pairs):
            monkeypatch.setattr(choose_numbers, "release_early", release)
            with ThreadPoolExecutor(1) as beside:
                beside.submit(work).result(60)
            return release(pairs)

        monkeypatch.setattr(choose_numbers, "release_early", act_then_release)

    return run_before_release


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_no_cool_down_is_cut_short_if_its_conversation_is_reopened_concurrently(create, concurrently):
    old, new = add_numbers(2)
    VirtualNumber.objects.filter(pk=new.pk).update(is_reserved=True)
    conversation = talk(ALICE, BOB)
    old.refresh_from_db()
    list(replace(old, [new]))
    old.refresh_from_db()
    old.restore(reason="it is well again")
    conversation.refresh_from_db()
    conversation.close()
    concurrently(Conversation.objects.get().reopen)

    is_refused(create(ALICE, CHARLIE, on_exhausted="soft"), 409, "no_number_free")
    assert not Participant.objects.released().exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_part_that_is_being_stored_keeps_its_pair(cooling, monkeypatch):
    """The creator waits until the part is committed, and then sees it."""
    stored, go_on = threading.Event(), threading.Event()
    record = InboundMessageQuerySet.record

    def slowly(queryset, message):
        is_new = record(queryset, message)
        stored.set()
        go_on.wait(60)
        return is_new

    monkeypatch.setattr(InboundMessageQuerySet, "record", slowly)

    def store():
        part_from_alice(proxies(cooling[0])[0])
        connection.close()

    def create():
        made = talk(ALICE, "+447700900005", on_exhausted=ExhaustionPolicy.SOFT)
        connection.close()
        return made

    with ThreadPoolExecutor(2) as beside:
        part = beside.submit(store)
        assert stored.wait(60)
        creation = beside.submit(create)
        wait_for_a_lock()
        go_on.set()
        part.result(60)

        assert proxies(creation.result(60))[0] == proxies(cooling[1])[0]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_no_cool_down_is_cut_short_if_a_late_message_arrives_concurrently(create, cooling, concurrently):
    late = InboundText(carrier_message_id="late", sender=ALICE, recipient=proxies(cooling[0])[0], text="hello?")
    concurrently(lambda: receive.receive(late))

    assert given(create(ALICE, "+447700900005", on_exhausted="soft"))[0] == proxies(cooling[1])[0]


def test_a_number_of_an_open_conversation_is_never_taken(create):
    add_numbers(1)
    talk(ALICE, BOB)

    is_refused(create(ALICE, CHARLIE, on_exhausted="soft"), 409, "no_number_free")


def test_a_conversation_whose_cool_down_was_cut_short_cannot_be_reopened(api, create, cooling):
    create(ALICE, "+447700900005", on_exhausted="soft")

    is_refused(api.post(f"{URL}{cooling[0].public_id}/reopen/"), 409, "numbers_released")
    assert api.post(f"{URL}{cooling[1].public_id}/reopen/").status_code == 200


def test_the_soft_policy_releases_only_the_requested_number(create, cooling):
    newest = proxies(cooling[2])[0]

    answer = create({"number": ALICE, "proxy_number": newest}, "+447700900005", on_exhausted="soft")

    assert given(answer)[0] == newest
    assert [each.participants.released().count() for each in cooling] == [0, 0, 1]


def test_a_repeated_request_cuts_no_second_cool_down_short(api, cooling):
    body, headers = asked_for(ALICE, "+447700900005", on_exhausted="soft"), {"Idempotency-Key": "order-42"}

    answers = [api.post(URL, body, headers=headers).json() for _ in range(2)]

    assert answers[0] == answers[1]
    assert Participant.objects.released().count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_sixteen_concurrent_creators_that_cut_cool_downs_short_never_share_a_pair():
    add_numbers(4)
    for other in range(4):
        talk(ALICE, f"+44770070000{other}").close()

    def create(worker):
        try:
            with suppress(NoNumberFree):
                return talk(ALICE, f"+4477008000{worker:02}", on_exhausted=ExhaustionPolicy.SOFT)
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        made = [each for each in pool.map(create, range(16)) if each]

    assert len(made) == 4
    assert len({proxies(conversation)[0] for conversation in made}) == 4
    assert counts_are_right()
