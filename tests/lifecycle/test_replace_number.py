"""Replacement of a virtual number in open conversations."""

import threading
from datetime import timedelta
from itertools import islice

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from conversations.api.serializers import ConversationSerializer
from conversations.delivery.undelivered_notice import notify_sender
from conversations.lifecycle import replace_number
from conversations.lifecycle.replace_number import preview, replace
from conversations.models import (
    Conversation,
    InboundMessage,
    InboundOutcome,
    OutboundMessage,
    OutboundState,
    Participant,
)
from conversations.worker.periodic_jobs import run_jobs
from numbers.assignment.policy import Geography
from numbers.management.exit_codes import ExitCode
from numbers.models import NumberState, Pool, VirtualNumber
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk
from tests.support.concurrency import wait_for_a_lock
from tests.support.outbox import later
from tests.support.signing import signed_inbound
from tests.support.terminal import states

pytestmark = pytest.mark.django_db


def text(sender, to, message_id="late-1", words="hello"):
    params = signed_inbound(msisdn=sender[1:], to=to[1:], messageId=message_id, text=words)
    assert Client().post("/webhooks/vonage/inbound-sms", params, "application/json").status_code == 200


def number_of(conversation, position=0):
    return members(conversation)[position].proxy_number


@pytest.fixture
def talking():
    """Return an open conversation of Alice and Bob, in a pool with free numbers."""
    add_numbers(4)
    return talk(ALICE, BOB)


def test_each_participant_gets_another_number_and_a_notice_from_it(talking, run):
    old = number_of(talking)

    code, output = run("replace_number", old.number, "--yes")

    assert code == ExitCode.DONE
    alice, bob = members(talking)
    assert alice.proxy_number != old
    assert alice.chosen_by == "replacement"
    [notice] = OutboundMessage.objects.all()
    assert (notice.sender, notice.recipient, notice.participant) == (alice.proxy_number, alice.real_number, alice)
    assert notice.text == "From now on, text this number to talk to Bob"
    assert "1 notice, 1 SMS" in output
    assert states()[old.number] == NumberState.DRAINING
    assert bob.replaces.count() == 0
    assert old.number in talking.events.first().reason


def test_the_new_number_and_the_cooling_old_one_reach_the_other_person(talking):
    alice, bob = members(talking)
    list(replace(alice.proxy_number))
    new = number_of(talking)

    text(ALICE, new.number, "one")
    text(ALICE, alice.proxy_number.number, "two")
    text(BOB, bob.proxy_number.number, "three")

    relays = OutboundMessage.objects.filter(kind="relay").order_by("id")
    assert [(each.sender, each.recipient_id) for each in relays] == [
        (bob.proxy_number, bob.real_number_id),
        (bob.proxy_number, bob.real_number_id),
        (new, alice.real_number_id),
    ]


def test_the_replaced_pair_is_not_reassigned_during_its_cool_down(talking, time_machine, settings):
    old = number_of(talking)
    list(replace(old))
    old.refresh_from_db()
    assert old.live_pair_count == 1
    old.restore(reason="test")

    assert old.number not in {proxies(talk(ALICE, f"+4477007000{index:02}"))[0] for index in range(2)}
    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()

    # The conversation is still open, but the old number no longer routes to it.
    assert not old.participants.unreleased().filter(conversation=talking).exists()
    text(ALICE, old.number)
    assert InboundMessage.objects.get().outcome == InboundOutcome.NO_ROUTE
    assert talking.is_live()


def test_the_replaced_pair_cools_down_as_long_as_a_conversation_that_ends_during_it(talking, time_machine, settings):
    """A late message to the old number is answered as long as one to the new number."""
    old = number_of(talking)
    list(replace(old))
    later(time_machine, settings.COOL_DOWN_SECONDS - 60)
    Conversation.objects.get(pk=talking.pk).close()
    later(time_machine, settings.COOL_DOWN_SECONDS - 60)
    run_jobs()

    text(ALICE, old.number)

    assert InboundMessage.objects.get().outcome == InboundOutcome.ENDED


def test_a_replaced_number_is_retired_after_the_cool_down_of_its_pairs(talking, time_machine, settings):
    old = number_of(talking)
    list(replace(old))
    run_jobs()
    assert states()[old.number] == NumberState.DRAINING

    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()

    assert states()[old.number] == NumberState.RETIRED


def test_the_preview_shows_the_number_of_notices_and_changes_nothing(talking, run, settings):
    settings.REPLACED_NOTICE = "x" * 170  # Two segments.
    add_numbers(1, start="+4477009006")
    old = number_of(talking)
    Participant.objects.filter(conversation=talk(ALICE, CHARLIE)).update(release_at=timezone.now())

    code, output = run("replace_number", old.number, "--dry-run")

    assert code == ExitCode.DONE
    assert "1 of 1 people would get another number" in output
    assert "1 notice, 2 SMS" in output
    assert states()[old.number] == NumberState.ACTIVE
    assert not OutboundMessage.objects.exists()


def test_the_preview_respects_the_number_cap(run, settings):
    [old] = add_numbers(1)
    for index in range(2):
        talk(f"+4477007000{index:02}", f"+4477008000{index:02}")
    add_numbers(1, start="+4477009006")
    settings.NUMBER_CAP = 3

    code, output = run("replace_number", old.number, "--dry-run")

    assert code == ExitCode.PARTIAL
    assert "3 of 4 people would get another number" in output
    assert "3 notices, 3 SMS" in output
    assert sum(moved.to is not None for moved in replace(old)) == 3


def test_an_unconfirmed_replacement_changes_nothing(talking, run):
    code, output = run("replace_number", number_of(talking).number, types="n\n")

    assert code == ExitCode.USAGE
    assert "Nothing was done" in output
    assert set(states().values()) == {"active"}


def test_no_notice_is_sent_if_its_text_is_empty_in_the_settings(talking, run, settings):
    settings.REPLACED_NOTICE = ""

    _, output = run("replace_number", number_of(talking).number, "--yes")

    assert "no notice would be sent" in output
    assert not OutboundMessage.objects.exists()


def test_a_participant_without_another_number_stays_and_is_moved_by_the_next_run(run):
    add_numbers(1)
    conversation = talk(ALICE, BOB)
    old = number_of(conversation)

    code, output = run("replace_number", old.number, "--yes")
    assert code == ExitCode.PARTIAL
    assert "2 of them have no other number yet" in output
    assert "no virtual number is free" in output
    assert number_of(conversation) == old

    add_numbers(1, start="+4477009006")
    assert run("replace_number", old.number, "--yes")[0] == ExitCode.DONE
    assert old.number not in proxies(conversation)


def test_the_next_run_resumes_a_stopped_one_and_sends_each_notice_once(run):
    [old] = add_numbers(1)
    conversations = [talk(f"+4477007000{index:02}", f"+4477008000{index:02}") for index in range(3)]
    add_numbers(3, start="+4477009006")
    list(islice(replace(old), 4))
    assert preview(VirtualNumber.objects.get(pk=old.pk)).people == 2

    assert run("replace_number", old.number, "--yes")[0] == ExitCode.DONE

    assert OutboundMessage.objects.count() == 6
    assert not any(old.number in proxies(each) for each in conversations)


def test_ended_conversations_keep_the_number_until_they_have_cooled_down(talking, run):
    old = number_of(talking)
    talking.close()

    _, output = run("replace_number", old.number, "--yes")

    assert "1 pairs of ended conversations stay" in output
    assert number_of(talking) == old


def test_the_replacement_numbers_can_be_specified(talking, run):
    old = number_of(talking)
    [wished] = add_numbers(1, start="+4477009006")
    VirtualNumber.objects.filter(pk=wished.pk).update(is_reserved=True)

    assert run("replace_number", old.number, "--with", wished.number, "--yes")[0] == ExitCode.DONE

    assert number_of(talking) == wished


def test_a_replacement_that_cannot_text_a_participant_is_not_used_for_them(run):
    [old] = add_numbers(1, "US", start="+121255501")
    add_numbers(1)
    conversation = talk("+12125550199", BOB)

    code, output = run("replace_number", old.number, "--with", "+447700900500", "--yes")

    assert code == ExitCode.PARTIAL
    assert "cannot text this participant" in output
    assert number_of(conversation) == old


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["+447700900999"], "not in the pool"),
        (["+447700900500", "--with", "+447700900500"], "expected another number"),
        (["+447700900500", "--with", "+447700900501"], "it is draining"),
        (["+447700900502"], "is not in use: it is retired"),
    ],
)
def test_invalid_arguments_are_rejected_before_any_change(run, arguments, message):
    _, draining, retired = add_numbers(3)
    draining.drain(reason="test")
    retired.retire(reason="test")

    code, output = run("replace_number", *arguments, "--yes")

    assert code == ExitCode.USAGE
    assert message in output
    assert states()["+447700900500"] == "active"


def test_the_pool_sets_the_cool_down_of_a_replaced_pair(time_machine):
    time_machine.move_to("2026-11-22T12:00:00Z", tick=False)
    add_numbers(4)
    berlin = Pool.objects.create(name="berlin", cool_down=14 * 24 * 3600)
    VirtualNumber.objects.update(pool=berlin)

    list(replace(number_of(talk(ALICE, BOB, pool=berlin))))

    replaced = Participant.objects.get(replaced_by__isnull=False)
    assert replaced.release_at == timezone.now() + timedelta(days=14)


def test_the_same_two_people_get_the_replacement_number_in_their_next_conversation(talking, time_machine, settings):
    old = number_of(talking, 1)
    list(replace(old))
    has, had = proxies(talking), [number_of(talking).number, old.number]
    talking.close()
    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()
    VirtualNumber.objects.filter(pk=old.pk).update(state=NumberState.ACTIVE)

    assert has != had
    assert proxies(talk(ALICE, BOB)) == has


def test_the_replacement_is_from_the_conversations_pool():
    berlin = Pool.objects.create(name="berlin")
    add_numbers(3)
    VirtualNumber.objects.update(pool=berlin)
    add_numbers(3, start="+4477009006")
    conversation = talk(ALICE, BOB, pool=berlin)

    list(replace(number_of(conversation)))

    assert number_of(conversation).pool == berlin


@pytest.mark.parametrize(("geography", "is_moved"), [("same-country", False), ("prefer", True), ("any", True)])
def test_the_replacement_follows_the_geography_that_the_conversation_was_created_with(
    run, settings, geography, is_moved
):
    settings.NUMBER_GEOGRAPHY = "any" if geography == "same-country" else "same-country"
    add_numbers(1)
    conversation = talk(ALICE, BOB, geography=Geography(geography))
    old = number_of(conversation)
    add_numbers(1, country="FR", start="+33757000")

    code, output = run("replace_number", str(old), "--yes")

    assert (number_of(conversation) != old) is is_moved
    assert (code == ExitCode.PARTIAL) is not is_moved
    assert ("needs an active number of GB" in output) is not is_moved


def test_a_conversation_without_a_stored_geography_follows_the_settings(run, settings):
    """Such a conversation was created before the geography was stored."""
    add_numbers(1)
    conversation = talk(ALICE, BOB)
    type(conversation).objects.update(geography="")
    add_numbers(1, country="FR", start="+33757000")
    settings.NUMBER_GEOGRAPHY = "same-country"

    assert preview(number_of(conversation)).stuck == 2

    settings.NUMBER_GEOGRAPHY = "prefer"
    assert preview(number_of(conversation)).stuck == 0


def test_queued_messages_of_a_number_that_cannot_send_move_to_the_new_number(talking):
    alice, bob = members(talking)
    text(BOB, bob.proxy_number.number)
    alice.proxy_number.quarantine(reason="the carrier refuses it")

    list(replace(alice.proxy_number))

    new = number_of(talking)
    relay = OutboundMessage.objects.get(kind="relay")
    assert (relay.sender, relay.state) == (new, OutboundState.QUEUED)
    assert states()[alice.proxy_number.number] == NumberState.QUARANTINED


def test_queued_messages_of_a_number_that_can_send_stay_with_it(talking):
    """From another number they could overtake earlier messages, or be overtaken."""
    alice, bob = members(talking)
    text(BOB, bob.proxy_number.number)

    list(replace(alice.proxy_number))

    assert OutboundMessage.objects.get(kind="relay").sender == alice.proxy_number


def test_in_a_group_the_notice_names_the_others_and_the_sender_gets_no_copy(run):
    add_numbers(5)
    group = talk(ALICE, BOB, CHARLIE)
    alice = members(group)[0]
    list(replace(alice.proxy_number))

    text(ALICE, alice.proxy_number.number)

    assert OutboundMessage.objects.get(kind="notice").text.endswith("to talk to Bob and Charlie")
    relays = OutboundMessage.objects.filter(kind="relay")
    assert {each.recipient.number for each in relays} == {BOB, CHARLIE}
    assert {each.text for each in relays} == {"Alice: hello"}


def undelivered_notices(settings):
    notices = OutboundMessage.objects.filter(kind="notice")
    return [notice for notice in notices if notice.text == settings.UNDELIVERED_NOTICE]


def test_the_undelivered_notice_for_a_message_to_the_old_number_comes_from_the_new_one(talking, settings):
    alice = members(talking)[0]
    text(ALICE, alice.proxy_number.number)
    list(replace(alice.proxy_number))
    relay = OutboundMessage.objects.get(kind="relay")
    relay.fail(reason="refused")

    notify_sender(relay)

    [notice] = undelivered_notices(settings)
    assert notice.sender == number_of(talking)


def test_no_undelivered_notice_is_sent_if_the_new_number_was_released(talking, settings):
    alice = members(talking)[0]
    text(ALICE, alice.proxy_number.number)
    list(replace(alice.proxy_number))
    relay = OutboundMessage.objects.get(kind="relay")
    relay.fail(reason="refused")
    Participant.objects.filter(pk=members(talking)[0].pk).update(released_at=timezone.now())

    notify_sender(relay)

    assert undelivered_notices(settings) == []


def test_a_conversation_can_be_closed_and_reopened_after_a_replacement(talking):
    old = number_of(talking)
    list(replace(old))
    talking.refresh_from_db()
    talking.close()
    assert not Participant.objects.filter(release_at=None).exists()

    talking.reopen()

    assert set(Participant.objects.current().values_list("release_at", flat=True)) == {None}
    assert Participant.objects.get(replaced_by__isnull=False).release_at is not None


def test_the_api_shows_each_participant_once_with_their_current_number(talking):
    list(replace(number_of(talking)))

    shown = ConversationSerializer(type(talking).objects.with_participants().get()).data
    assert [each["proxy_number"] for each in shown["participants"]] == proxies(talking)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_message_received_during_a_replacement_is_relayed_from_the_new_number(monkeypatch):
    """Its numbers are read before the replacement, and its rows are written after it."""
    add_numbers(4)
    conversation = talk(ALICE, BOB)
    alice, bob = members(conversation)
    locked, go_on = threading.Event(), threading.Event()
    give = replace_number._give

    def slowly(old, number):
        locked.set()
        go_on.wait(60)
        return give(old, number)

    monkeypatch.setattr(replace_number, "_give", slowly)

    def work():
        list(replace(alice.proxy_number))
        connection.close()

    def post():
        text(BOB, bob.proxy_number.number)
        connection.close()

    replacer, writer = threading.Thread(target=work), threading.Thread(target=post)
    replacer.start()
    assert locked.wait(60)
    writer.start()
    wait_for_a_lock()  # The receiving thread has read the old number and waits for the conversation lock.
    go_on.set()
    replacer.join(60)
    writer.join(60)

    relay = OutboundMessage.objects.get(kind="relay")
    assert relay.sender == number_of(conversation)
    assert relay.sender != alice.proxy_number


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_concurrent_runs_move_each_participant_once():
    [old] = add_numbers(1)
    for index in range(10):
        talk(f"+4477007000{index:02}", f"+4477008000{index:02}")
    add_numbers(4, start="+4477009006")
    start = threading.Barrier(2)
    moved = []

    def work():
        start.wait(60)
        moved.extend(replace(VirtualNumber.objects.get(pk=old.pk)))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(moved) == 20
    assert all(each.to for each in moved)
    assert OutboundMessage.objects.count() == 20
    assert not transaction.get_connection().in_atomic_block
    assert Participant.objects.current().exclude(proxy_number=old).count() == 20


def test_the_output_shows_no_real_number(talking, run):
    _, output = run("replace_number", number_of(talking).number, "--yes")

    assert ALICE[-7:] not in output
