"""One statement reads all that decides about an inbound message, and the gates read nothing more."""

import dataclasses

import pytest
from django.db import transaction
from django.utils import timezone

from conversations.insight.explain_route import explain_route
from conversations.intake import fast_path, receive
from conversations.intake.gates import decide
from conversations.intake.read_arrival import read_arrival, read_arrival_locked
from conversations.lifecycle.change_participant import change_participant
from conversations.lifecycle.remove_participant import remove_participant
from conversations.models import Conversation, InboundMessage, Participant
from numbers.models import RealNumber, VirtualNumber
from smsproxy.carriers.base import InboundText
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, replace_number_of, talk
from tests.support.statements import recorded_statements

pytestmark = pytest.mark.django_db


def open_one():
    return ALICE, proxies(talk(ALICE, BOB))[0]


def group():
    return ALICE, proxies(talk(ALICE, BOB, CHARLIE))[0]


def number_replaced():
    conversation = talk(ALICE, BOB)
    alice = members(conversation)[0]
    replace_number_of(alice)
    return ALICE, alice.proxy_number.number


def ended():
    conversation = talk(ALICE, BOB)
    conversation.close()
    return ALICE, proxies(conversation)[0]


def reopened_by_a_late_message():
    conversation = talk(ALICE, BOB, late_messages="reopen")
    conversation.close()
    return ALICE, proxies(conversation)[0]


def number_lost():
    conversation = talk(ALICE, BOB, late_messages="reopen")
    conversation.close()
    members(conversation)[1].proxy_number.mark_lost(reason="cancelled at the carrier")
    return ALICE, proxies(conversation)[0]


def one_way():
    conversation = talk(ALICE, BOB)
    change_participant(conversation, 0, one_way=True)
    return ALICE, proxies(conversation)[0]


def removed():
    conversation = talk(ALICE, BOB, CHARLIE)
    number = proxies(conversation)[0]
    remove_participant(conversation, 0)
    return ALICE, number


def removed_and_reopened_by_a_late_message():
    conversation = talk(ALICE, BOB, CHARLIE, late_messages="reopen")
    number = proxies(conversation)[0]
    remove_participant(conversation, 0)
    Conversation.objects.get(pk=conversation.pk).close()
    return ALICE, number


def stranger():
    return STRANGER, proxies(talk(ALICE, BOB))[0]


def without_a_number():
    return None, proxies(talk(ALICE, BOB))[0]


def not_our_number():
    talk(ALICE, BOB)
    return ALICE, "+447700900777"


def our_own_number():
    first, second = proxies(talk(ALICE, BOB))
    return first, second


CASES = [
    (open_one, "relayed"),
    (group, "relayed"),
    (number_replaced, "relayed"),
    (ended, "ended"),
    (reopened_by_a_late_message, "relayed"),
    (number_lost, "ended"),
    (one_way, "one_way"),
    (removed, "ended"),
    (removed_and_reopened_by_a_late_message, "ended"),
    (stranger, "no_route"),
    (without_a_number, "no_route"),
    (not_our_number, "no_route"),
    (our_own_number, "loop"),
]


@pytest.mark.parametrize(("case", "outcome"), CASES, ids=[case.__name__ for case, _ in CASES])
def test_one_statement_reads_all_that_the_gates_look_at(case, outcome):
    """A gate that looks at a field which is not read would query the database for it, unnoticed."""
    add_numbers(4)
    sender, recipient = case()

    with recorded_statements() as statements:
        context = read_arrival(sender, recipient, "hello")
        decided = decide(context)
        for text in (" ", "x" * 5000):  # A gate may look at more if the text is blank or long.
            decide(dataclasses.replace(context, text=text))

    assert decided == outcome
    assert [statement.split()[0] for statement in statements] == ["SELECT"]


def test_what_is_read_of_a_conversation_is_what_the_orm_reads():
    add_numbers(4)
    conversation = talk(ALICE, BOB, CHARLIE, ttl=3600, idle_ttl=600)
    bob = members(conversation)[1]

    context = read_arrival(BOB, bob.proxy_number.number, "hello")

    assert context.sender == bob.real_number
    assert context.virtual_number == bob.proxy_number
    assert context.author == bob
    assert list(context.others) == list(bob.others())
    assert not context.is_loop
    assert not context.has_lost_number
    assert context.relayed_text == "Bob: hello"
    stored = [
        (context.virtual_number, VirtualNumber.objects.get(pk=bob.proxy_number_id)),
        (context.sender, RealNumber.objects.get(pk=bob.real_number_id)),
        (context.author.conversation, Conversation.objects.get()),
        (context.author, Participant.objects.get(pk=bob.pk)),
        *zip(context.others, bob.others(), strict=True),
    ]
    for read, row in stored:
        for field in row._meta.concrete_fields:
            if field.attname not in read.get_deferred_fields():
                assert getattr(read, field.attname) == getattr(row, field.attname), field


def test_a_participant_whose_number_became_ours_is_known_but_no_author():
    add_numbers(2)
    to = proxies(talk("+447700900100", BOB))[0]
    add_numbers(1, start="+4477009001")

    context = read_arrival("+447700900100", to, "hello")

    assert context.is_loop
    assert context.author is None
    assert context.sender == RealNumber.objects.with_number("+447700900100").get()
    assert explain_route("+447700900100", to).sender_is_known


def test_the_sender_of_a_loop_is_not_recorded_as_a_person():
    add_numbers(2)
    to = proxies(talk("+447700900100", BOB))[0]
    add_numbers(1, start="+4477009001")

    receive.receive(
        InboundText(carrier_message_id="m", sender="+447700900100", recipient=to, text="?", sent_at=timezone.now()),
        raw="{}",
    )

    message = InboundMessage.objects.get()
    assert (message.outcome, message.sender, message.participant, message.raw) == ("loop", None, None, "{}")


def test_a_pair_that_gets_another_conversation_before_the_read_is_locked_and_read_again(monkeypatch):
    """The first conversation's lock does not protect the second one."""
    [number] = add_numbers(1)  # One: the second conversation can only get the same pair.
    first = talk(ALICE, BOB)
    locked = []
    manager = type(Participant.objects)
    find_author = manager.find_author

    def lock_and_let_the_pair_go(self, *pair_and_time):
        author = find_author(self, *pair_and_time)
        locked.append(author.conversation)
        if len(locked) == 1:
            first.close()
            first.participants.update(released_at=timezone.now())
            talk(ALICE, CHARLIE)
        return author

    monkeypatch.setattr(manager, "find_author", lock_and_let_the_pair_go)
    with transaction.atomic():
        context = read_arrival_locked(ALICE, number.number, "hello")

    second = Conversation.objects.exclude(pk=first.pk).get()
    assert locked == [first, second]
    assert context.author.conversation == second


def test_explaining_a_route_takes_few_statements():
    """The read, and one for each thing that only the explanation shows: the number and the conversation."""
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    to = proxies(conversation)[0]

    with recorded_statements() as while_open:
        explain_route(ALICE, to)
    conversation.close()
    with recorded_statements() as after_the_end:
        explain_route(ALICE, to)

    assert len(while_open) == 4, "the last one asks for the limits"
    assert len(after_the_end) == 3


def test_the_general_path_stays_short(monkeypatch):
    """Its statements for an ordinary message between two people, a savepoint for the repeat included."""
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]
    text = InboundText(carrier_message_id="m", sender=ALICE, recipient=to, text="hello", sent_at=timezone.now())
    monkeypatch.setattr(fast_path, "is_available", lambda: False)

    with transaction.atomic(), recorded_statements() as statements:
        receive.process_message(text, received_at=timezone.now())

    reads = [statement for statement in statements if statement.startswith("SELECT")]
    writes = [statement for statement in statements if statement.startswith(("INSERT", "UPDATE", "WITH held"))]
    assert len(reads) == 2, "one locks the conversation, one reads"
    assert len(writes) == 6, (
        "the message, its limits, its relay and that one's event, the feed, the loop breaker's memory"
    )
    assert len(statements) == 12
