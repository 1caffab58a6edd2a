"""Messages and other runs during a replacement."""

import threading

import pytest
from django.db import connection, transaction

from conversations.lifecycle import replace_number
from conversations.lifecycle.replace_number import replace
from conversations.models import OutboundMessage, OutboundState, Participant
from numbers.models import VirtualNumber
from tests.support.builders import BOB, add_numbers, members, talk
from tests.support.concurrency import at_once, wait_for_a_lock
from tests.support.replacements import number_of, text

pytestmark = pytest.mark.django_db


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_message_received_during_a_replacement_is_relayed_from_the_new_number(talking, monkeypatch):
    """Its numbers are read before the replacement, and its rows are written after it."""
    alice, bob = members(talking)
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
    assert relay.sender == number_of(talking)
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


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_messages_of_a_replaced_number_that_are_resent_at_once_both_move_to_the_new_number(talking, monkeypatch):
    alice, bob = members(talking)
    for words in ("first", "second"):
        text(BOB, bob.proxy_number.number, message_id=words, words=words)
    list(replace(alice.proxy_number))
    relays = OutboundMessage.objects.filter(kind="relay")
    assert relays.update(state=OutboundState.UNKNOWN, attempts=1) == 2
    alice.proxy_number.quarantine(reason="the carrier refuses it")
    both_are_locked, transition = threading.Barrier(2), OutboundMessage.transition

    def wait_after_the_lock(message, *args, **kwargs):
        transition(message, *args, **kwargs)
        both_are_locked.wait(60)
        return message

    monkeypatch.setattr(OutboundMessage, "transition", wait_after_the_lock)
    messages = list(relays)

    at_once(2, lambda index: messages[index].resend(reason="staff: send again", actor="staff"))

    moved = {(message.sender, message.state) for message in relays}
    assert moved == {(number_of(talking), OutboundState.QUEUED)}
