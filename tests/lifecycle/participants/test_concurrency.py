"""Participants come, go and change while texts arrive and others do the same."""

import threading
from collections import Counter

import pytest
from django.db import connection
from django.test import Client

from conversations.lifecycle import add_participant, change_participant, remove_participant
from conversations.models import Conversation, InboundMessage, Participant
from numbers.usage import recount_live_pairs
from smsproxy.events.models import FeedEvent
from tests.support.api_requests import counts_are_right
from tests.support.builders import ALICE, BOB, CHARLIE, members, proxies
from tests.support.concurrency import at_once, wait_for_a_lock
from tests.support.explanations import text
from tests.support.opt_outs import messages_to
from tests.support.participants import DORA

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

NEW_PHONE = "+447700900055"


@pytest.fixture
def while_it_holds_the_lock(monkeypatch):
    """Return a function that runs a second act while the first one, in this module, holds the conversation's lock."""

    def run(module, first, second):
        holds, go_on = threading.Event(), threading.Event()
        record = module.record_change

        def slowly(*args, **kwargs):
            holds.set()
            go_on.wait(60)
            return record(*args, **kwargs)

        monkeypatch.setattr(module, "record_change", slowly)
        answers = {}

        def act(name, work):
            answers[name] = work()
            connection.close()

        threads = [threading.Thread(target=act, args=each) for each in (("first", first), ("second", second))]
        threads[0].start()
        assert holds.wait(60)
        threads[1].start()
        wait_for_a_lock()
        go_on.set()
        for thread in threads:
            thread.join(60)
        return answers["first"], answers["second"]

    return run


def is_sound():
    """Check that no pair is live twice, no position is taken twice, and each number counts its pairs."""
    live = Counter(Participant.objects.unreleased().values_list("real_number", "proxy_number"))
    positions = Counter(Participant.objects.current().values_list("conversation", "position"))
    assert {*live.values(), *positions.values()} <= {1}
    assert counts_are_right()
    assert not any(recount_live_pairs(each.proxy_number) for each in Participant.objects.all())
    return True


def test_a_text_that_arrives_during_a_removal_does_not_reach_the_removed_person(trio, of_trio, while_it_holds_the_lock):
    """Its recipients are read before the removal, and its rows are written after it."""
    number = proxies(trio)[0]

    removed, _ = while_it_holds_the_lock(
        remove_participant, lambda: of_trio.remove(1), lambda: text(Client(), ALICE, number, "Hi")
    )

    assert removed.status_code == 204
    assert (messages_to(BOB), messages_to(CHARLIE)) == ([], ["Hi"])
    assert is_sound()


def test_a_text_of_the_removed_person_that_arrives_during_the_removal_is_ended(trio, of_trio, while_it_holds_the_lock):
    number = proxies(trio)[1]

    _, message = while_it_holds_the_lock(
        remove_participant, lambda: of_trio.remove(1), lambda: text(Client(), BOB, number)
    )

    assert message.outcome == "ended"
    assert messages_to(ALICE) == []


def test_a_text_that_arrives_while_a_phone_changes_goes_to_the_new_phone(trio, of_trio, while_it_holds_the_lock):
    number = proxies(trio)[0]

    while_it_holds_the_lock(
        change_participant, lambda: of_trio.change(1, number=NEW_PHONE), lambda: text(Client(), ALICE, number, "Hi")
    )

    assert (messages_to(BOB), messages_to(NEW_PHONE)) == ([], ["Alice: Hi"])
    assert is_sound()


def test_a_new_phone_keeps_the_label_and_direction_that_change_at_that_moment(trio, of_trio, while_it_holds_the_lock):
    renamed, moved = while_it_holds_the_lock(
        change_participant,
        lambda: of_trio.change(1, label="Robert", one_way=True),
        lambda: of_trio.change(1, number=NEW_PHONE),
    )

    assert (renamed.status_code, moved.status_code) == (200, 200)
    bob = members(trio)[1]
    assert (bob.real_number.number, bob.label, bob.one_way) == (NEW_PHONE, "Robert", True)


def test_a_text_of_a_person_who_becomes_one_way_at_that_moment_reaches_nobody(trio, of_trio, while_it_holds_the_lock):
    number = proxies(trio)[1]

    _, message = while_it_holds_the_lock(
        change_participant, lambda: of_trio.change(1, one_way=True), lambda: text(Client(), BOB, number)
    )

    assert message.outcome == "one_way"


def test_a_text_that_arrives_during_an_addition_reaches_the_newcomer(trio, of_trio, while_it_holds_the_lock):
    number = proxies(trio)[0]

    while_it_holds_the_lock(
        add_participant, lambda: of_trio.add(DORA, label="Dora"), lambda: text(Client(), ALICE, number, "Hi")
    )

    assert messages_to(DORA) == ["Alice: Hi"]


def test_a_conversation_that_is_closed_during_an_addition_ends_for_the_newcomer_too(
    trio, of_trio, while_it_holds_the_lock
):
    added, _ = while_it_holds_the_lock(
        add_participant, lambda: of_trio.add(DORA), lambda: Conversation.objects.get(pk=trio.pk).close()
    )

    assert added.status_code == 201
    assert not Participant.objects.current().filter(release_at__isnull=True).exists()
    assert is_sound()


def test_one_of_several_concurrent_additions_of_a_person_succeeds(trio, of_trio):
    answers = at_once(6, lambda _: of_trio.add(DORA))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    assert {answer.json().get("code") for answer in answers} == {None, "already_participant"}
    assert FeedEvent.objects.filter(type="participant.added").count() == 1
    assert is_sound()


def test_concurrent_additions_have_different_positions_and_stop_at_ten_participants(trio, of_trio):
    answers = at_once(9, lambda index: of_trio.add(f"+44770090002{index}"))

    assert Counter(answer.status_code for answer in answers) == {201: 7, 409: 2}
    assert [each.position for each in members(trio)] == list(range(10))
    assert is_sound()


def test_concurrent_removals_leave_two_participants(trio, of_trio):
    answers = at_once(3, of_trio.remove)

    assert Counter(answer.status_code for answer in answers) == {204: 1, 409: 2}
    assert len(members(trio)) == 2
    assert FeedEvent.objects.filter(type="participant.removed").count() == 1


def test_concurrent_repeats_of_a_request_add_one_person(trio, of_trio):
    answers = at_once(6, lambda _: of_trio.add(DORA, key="add-dora"))

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(members(trio)) == 4
    assert {answer.json().get("code") for answer in answers} <= {None, "idempotency_in_progress"}


def test_two_concurrent_changes_of_one_phone_leave_one_phone_in_its_place(trio, of_trio):
    answers = at_once(4, lambda index: of_trio.change(1, number=f"+44770090003{index % 2}"))

    assert {answer.status_code for answer in answers} == {200}
    assert len(members(trio)) == 3
    assert InboundMessage.objects.count() == 0
    assert is_sound()


def test_a_label_is_changed_also_when_a_concurrent_request_gives_the_same_new_phone(
    trio, of_trio, while_it_holds_the_lock
):
    answers = while_it_holds_the_lock(
        change_participant,
        lambda: of_trio.change(1, number=NEW_PHONE),
        lambda: of_trio.change(1, number=NEW_PHONE, label="Bobby"),
    )

    assert {answer.status_code for answer in answers} == {200}
    assert Participant.objects.current().get(conversation=trio, position=1).label == "Bobby"
    assert is_sound()
