"""The two ways in which PostgreSQL takes in a text write the same, and the ordinary text goes the fast one."""

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import transaction
from django.utils import timezone

from conversations.delivery.wakeup import wake_workers
from conversations.intake import fast_path, receive
from conversations.intake.read_arrival import read_arrival
from conversations.lifecycle.add_participant import add_participant
from conversations.lifecycle.change_participant import give_new_phone
from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.remove_participant import remove_participant
from conversations.lifecycle.request import ConversationSpec, ParticipantSpec
from conversations.models import Conversation, InboundMessage, MessageEvent, OutboundMessage
from conversations.models.outbound import new_client_ref
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.carriers.base import InboundText
from smsproxy.crypto import encrypt
from smsproxy.events.models import FeedEvent
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, replace_number_of, talk
from tests.support.outbox import later
from tests.support.statements import recorded_statements

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

# What is different each time.
CHANGING = {"id", "client_ref"}
WRITTEN = (InboundMessage, OutboundMessage, MessageEvent)
# Ids in events of the feed, which are no foreign keys.
NAMED_BY_EVENTS: dict[str, Any] = {"inbound_id": InboundMessage, "outbound_id": OutboundMessage}


def text_from(sender, to, words="I am at the corner", **fields):
    given = {"sent_at": timezone.now()} | fields
    return InboundText(carrier_message_id="in-1", sender=sender, recipient=to, text=words, **given)


def context_of(text):
    return read_arrival(text.sender, text.recipient, text.text)


def rows(model):
    """Every field of every row. A reference to a new row is its place among the new rows, since ids differ."""
    found = []
    for row in model._default_manager.order_by("pk"):
        values = {}
        for field in model._meta.concrete_fields:
            value = getattr(row, field.attname)
            to = NAMED_BY_EVENTS.get(field.attname) if model is FeedEvent else field.related_model
            if to in WRITTEN and value is not None:
                value = list(to._default_manager.order_by("pk").values_list("pk", flat=True)).index(value)
            if field.attname not in CHANGING:
                values[field.attname] = value
        found.append(values)
    return found


def everything():
    """The rows of every table of ours: a table that only one of the two ways writes to is a difference."""
    return {
        model: rows(model)
        for app in ("conversations", "numbers", "api", "events", "simulator")
        for model in apps.get_app_config(app).get_models()
    }


def written_by(text):
    """Return all rows after this text, and take them back."""
    with transaction.atomic():
        receive.receive(text)
        references = set(OutboundMessage.objects.values_list("client_ref", flat=True))
        assert len(references) == OutboundMessage.objects.count()
        assert {len(reference) for reference in references} == {len(new_client_ref())}
        found = everything()
        transaction.set_rollback(True)
    return found


def of_two():
    conversation = talk(ALICE, BOB)
    return conversation, text_from(ALICE, proxies(conversation)[0])


def of_three():
    conversation = talk(ALICE, BOB, CHARLIE)
    return conversation, text_from(CHARLIE, proxies(conversation)[2])


def in_unicode_of_several_sms():
    conversation = talk(ALICE, BOB, CHARLIE)
    return conversation, text_from(ALICE, proxies(conversation)[0], "Ich bin gleich da … 🚕 " * 8)


def without_the_carrier_s_time():
    conversation = talk(ALICE, BOB)
    return conversation, text_from(BOB, proxies(conversation)[1], sent_at=None)


def before_it_expires():
    conversation = talk(ALICE, BOB, ttl=3600)
    return conversation, text_from(ALICE, proxies(conversation)[0])


def that_would_reopen():
    conversation = talk(ALICE, BOB, late_messages="reopen")
    return conversation, text_from(ALICE, proxies(conversation)[0])


def to_a_number_that_was_replaced():
    conversation = talk(ALICE, BOB)
    alice = members(conversation)[0]
    replace_number_of(alice)
    return conversation, text_from(ALICE, alice.proxy_number.number)


def to_somebody_whose_number_was_replaced():
    conversation = talk(ALICE, BOB)
    bob = members(conversation)[1]
    replace_number_of(bob)
    return conversation, text_from(ALICE, proxies(conversation)[0])


def to_a_new_phone():
    conversation = talk(ALICE, BOB)
    give_new_phone(conversation, 1, CHARLIE, notify=False)
    return conversation, text_from(ALICE, proxies(conversation)[0])


def after_somebody_left_and_somebody_joined():
    conversation = talk(ALICE, BOB, CHARLIE)
    remove_participant(conversation, 1)
    add_participant(conversation, ParticipantSpec(number=STRANGER, one_way=True), notify=False)
    return conversation, text_from(ALICE, proxies(conversation)[0])


def of_one_side():
    people = [ParticipantSpec(number=number, label="Bob", side="shop") for number in (BOB, CHARLIE)]
    conversation = create_conversation(people, ConversationSpec(notify=False))
    return conversation, text_from(BOB, proxies(conversation)[0])


@pytest.mark.parametrize(
    "case",
    [
        to_a_new_phone,
        after_somebody_left_and_somebody_joined,
        of_one_side,
        of_two,
        of_three,
        in_unicode_of_several_sms,
        without_the_carrier_s_time,
        before_it_expires,
        that_would_reopen,
        to_a_number_that_was_replaced,
        to_somebody_whose_number_was_replaced,
    ],
)
@pytest.mark.parametrize("idle_ttl", [None, 3600])
def test_both_ways_write_the_same_rows_field_by_field(case, idle_ttl, monkeypatch, time_machine):
    time_machine.move_to(timezone.now(), tick=False)
    add_numbers(4)
    conversation, text = case()
    Conversation.objects.update(idle_ttl=idle_ttl)
    everybody_else = conversation.participants.current().count() - 1

    with recorded_statements() as statements:
        fast = written_by(text)
    assert statements[1].startswith("SELECT"), "the first is the savepoint"
    assert statements[2].startswith("WITH")
    monkeypatch.setattr(fast_path, "is_available", lambda: False)
    general = written_by(text)

    assert fast == general
    assert len(fast[InboundMessage]) == 1
    assert sum(row["kind"] == "relay" for row in fast[OutboundMessage]) == everybody_else
    assert [event["type"] for event in fast[FeedEvent][-2:]] == ["message.received", "message.relayed"]
    assert len(fast[MessageEvent]) == len(fast[OutboundMessage])
    assert (fast[Conversation][0]["idle_at"] is not None) == (idle_ttl is not None)


def test_an_ordinary_text_takes_one_statement_to_read_and_one_to_write():
    add_numbers(2)
    text = text_from(ALICE, proxies(talk(ALICE, BOB))[0])

    for _ in ("new", "repeated"):
        with recorded_statements() as statements:
            receive.receive(text)
        assert [statement.split()[0] for statement in statements] == ["SELECT", "WITH"]

    assert InboundMessage.objects.count() == OutboundMessage.objects.count() == 1


def test_an_ordinary_text_asks_nothing_of_the_slow_way(django_assert_num_queries):
    add_numbers(2)
    text = text_from(ALICE, proxies(talk(ALICE, BOB))[0])

    with django_assert_num_queries(0):
        receive.receive(text)
        receive.receive(text)

    assert InboundMessage.objects.count() == OutboundMessage.objects.count() == 1


def test_a_text_taken_in_by_the_fast_way_wakes_the_workers(
    django_assert_num_queries, django_capture_on_commit_callbacks
):
    add_numbers(2)
    text = text_from(ALICE, proxies(talk(ALICE, BOB))[0])

    with django_assert_num_queries(0), django_capture_on_commit_callbacks() as callbacks:
        receive.receive(text)

    assert wake_workers in callbacks


def test_a_text_is_encrypted_once(monkeypatch):
    add_numbers(3)
    tokens = []
    monkeypatch.setattr("conversations.intake.fast_path.encrypt", lambda plain: tokens.append(plain) or encrypt(plain))

    receive.receive(text_from(ALICE, proxies(talk(ALICE, BOB))[0], "hello"))

    assert tokens == ["hello"]
    assert [message.text for message in OutboundMessage.objects.all()] == ["hello"]


def test_what_is_not_ordinary_is_left_to_the_slow_way():
    add_numbers(4)
    ended, open_ = talk(ALICE, BOB), talk(ALICE, CHARLIE)
    ended.close()
    to = proxies(open_)[0]

    assert context_of(text_from(ALICE, to)).author == members(open_)[0]
    assert context_of(text_from(STRANGER, to)).author is None
    assert context_of(text_from(None, to)).author is None
    assert not context_of(text_from(ALICE, proxies(ended)[0])).is_open


def test_a_text_from_a_participant_whose_number_has_become_ours_is_a_loop():
    add_numbers(2)
    text = text_from("+447700900100", proxies(talk("+447700900100", BOB))[0])
    assert context_of(text).author

    add_numbers(1, start="+4477009001")

    assert context_of(text).is_loop
    receive.receive(text)
    assert InboundMessage.objects.get().outcome == "loop"


def test_a_pair_of_numbers_that_was_given_to_others_stands_for_them_alone(time_machine, settings):
    add_numbers(1)
    first = talk(ALICE, BOB)
    first.close()
    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()
    second = talk(ALICE, CHARLIE)
    assert proxies(second) == proxies(first)

    context = context_of(text_from(ALICE, proxies(second)[0]))

    alice, charlie = members(second)
    assert context.author == alice
    assert context.author.conversation == second
    assert context.others == [charlie]


def test_a_text_whose_conversation_gets_another_number_after_the_read_goes_by_the_new_number(monkeypatch):
    """The fast write sees the conflict and writes nothing. The general path reads again."""
    add_numbers(3)
    conversation = talk(ALICE, BOB)
    bob = members(conversation)[1]
    spares = []
    results = []
    write_relayed = fast_path.write_relayed

    def replace_and_write(text, context):
        spares.append(replace_number_of(bob))
        results.append(write_relayed(text, context))
        return results[-1]

    monkeypatch.setattr(fast_path, "write_relayed", replace_and_write)
    receive.receive(text_from(ALICE, proxies(conversation)[0]))

    assert results == [fast_path.RelayResult.CONFLICT]
    relay = OutboundMessage.objects.get(kind="relay")
    assert (relay.recipient, relay.sender) == (bob.real_number, *spares)
    assert relay.participant == bob.current
    assert InboundMessage.objects.get().outcome == "relayed"


@pytest.mark.parametrize("end", ["closed", "expires_at", "idle_at"])
def test_a_conversation_that_ends_after_it_was_read_gets_nothing_more(end):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    text = text_from(ALICE, proxies(conversation)[0])
    context = context_of(text)
    if end == "closed":
        conversation.close()
    else:
        Conversation.objects.update(**{end: timezone.now() - timedelta(seconds=1)})

    assert context.is_open
    assert fast_path.write_relayed(text, context) is fast_path.RelayResult.CONFLICT

    assert not InboundMessage.objects.exists()
    assert not OutboundMessage.objects.exists()
