"""The fast path on PostgreSQL writes the same rows as the general path, and handles every ordinary message."""

from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.delivery.wakeup import wake_workers
from conversations.intake import fast_path, receive
from conversations.intake.read_arrival import read_arrival
from conversations.models import Conversation, InboundMessage, MessageEvent, OutboundMessage
from conversations.worker.periodic_jobs import sweep
from smsproxy.carriers.base import InboundText
from smsproxy.crypto import encrypt
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, talk
from tests.support.outbox import later

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

# Fields that differ on every run: ids, and references to them.
CHANGING = {"id", "client_ref", "inbound_id", "message_id"}


def text_from(sender, to, words="I am at the corner"):
    return InboundText(carrier_message_id="in-1", sender=sender, recipient=to, text=words, sent_at=timezone.now())


def context_of(text):
    return read_arrival(text.sender, text.recipient, text.text)


def rows(model):
    """Return every stable field of every row."""
    names = [field.attname for field in model._meta.concrete_fields if field.attname not in CHANGING]
    return [{name: getattr(row, name) for name in names} for row in model.objects.order_by("pk")]


def everything():
    return {model: rows(model) for model in (InboundMessage, OutboundMessage, MessageEvent, Conversation)}


def delete_messages():
    MessageEvent.objects.all().delete()
    OutboundMessage.objects.all().delete()
    InboundMessage.objects.all().delete()


@pytest.mark.parametrize("people", [(ALICE, BOB), (ALICE, BOB, CHARLIE)])
@pytest.mark.parametrize("idle_ttl", [None, 3600])
def test_the_fast_and_the_general_path_write_the_same_rows(people, idle_ttl, monkeypatch, time_machine):
    time_machine.move_to(timezone.now(), tick=False)
    add_numbers(3)
    conversation = talk(*people)
    Conversation.objects.update(idle_ttl=idle_ttl)
    text = text_from(ALICE, proxies(conversation)[0])

    receive.receive(text)
    fast = everything()
    delete_messages()
    Conversation.objects.update(idle_at=None)
    monkeypatch.setattr(fast_path, "is_available", lambda: False)
    receive.receive(text)

    assert fast == everything()
    assert len(fast[InboundMessage]) == 1
    assert len(fast[OutboundMessage]) == len(fast[MessageEvent]) == len(people) - 1
    assert (fast[Conversation][0]["idle_at"] is not None) == (idle_ttl is not None)


def test_an_ordinary_message_never_uses_the_general_path(django_assert_num_queries):
    add_numbers(2)
    text = text_from(ALICE, proxies(talk(ALICE, BOB))[0])

    with django_assert_num_queries(0):
        receive.receive(text)
        receive.receive(text)

    assert InboundMessage.objects.count() == OutboundMessage.objects.count() == 1


def test_a_message_on_the_fast_path_wakes_the_workers(django_assert_num_queries, django_capture_on_commit_callbacks):
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


def test_unusual_messages_are_left_to_the_general_path():
    add_numbers(4)
    ended, open_ = talk(ALICE, BOB), talk(ALICE, CHARLIE)
    ended.close()
    to = proxies(open_)[0]

    assert context_of(text_from(ALICE, to)).author == members(open_)[0]
    assert context_of(text_from(STRANGER, to)).author is None
    assert context_of(text_from(None, to)).author is None
    assert not context_of(text_from(ALICE, proxies(ended)[0])).is_open


def test_a_message_from_a_participant_whose_number_we_now_rent_is_a_loop():
    add_numbers(2)
    text = text_from("+447700900100", proxies(talk("+447700900100", BOB))[0])
    assert context_of(text).author

    add_numbers(1, start="+4477009001")

    assert context_of(text).is_loop
    receive.receive(text)
    assert InboundMessage.objects.get().outcome == "loop"


def test_a_reassigned_pair_of_numbers_routes_only_to_its_new_conversation(time_machine, settings):
    add_numbers(1)
    first = talk(ALICE, BOB)
    first.close()
    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    sweep()
    second = talk(ALICE, CHARLIE)
    assert proxies(second) == proxies(first)

    context = context_of(text_from(ALICE, proxies(second)[0]))

    alice, charlie = members(second)
    assert context.author == alice
    assert context.author.conversation == second
    assert context.others == [charlie]


@pytest.mark.parametrize("end", ["closed", "expires_at", "idle_at"])
def test_a_conversation_that_ends_after_it_was_read_relays_nothing_more(end):
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
