"""A conversation on hold: what is held, who learns of it, and how it is released."""

from datetime import timedelta

import pytest

from conversations.insight.explain_route import explain_route
from conversations.insight.troubles.kinds import Trouble
from conversations.intake import fast_path, receive
from conversations.models import Conversation, InboundMessage, OutboundMessage
from conversations.monitoring.sending import SendingCollector
from smsproxy.carriers.base import InboundText
from smsproxy.states import StaleState
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, proxies, talk
from tests.support.loops import EXCHANGES, memory, play, talk_before, texts_before_hold
from tests.support.troubles import active_troubles


@pytest.mark.django_db
@pytest.mark.postgres
def test_a_text_whose_conversation_is_put_on_hold_after_the_read_is_held(monkeypatch):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    write_relayed = fast_path.write_relayed

    def hold_and_write(text, context):
        Conversation.objects.get().hold(reason="looks odd", actor="sam")
        return write_relayed(text, context)

    monkeypatch.setattr(fast_path, "write_relayed", hold_and_write)
    text = InboundText(
        carrier_message_id="in-1", sender=ALICE, recipient=proxies(conversation)[0], text="Hello", sent_at=None
    )
    receive.receive(text)

    assert InboundMessage.objects.get().outcome == "held"
    assert not OutboundMessage.objects.exists()


@pytest.mark.django_db
def test_after_a_release_the_memory_begins_again(write):
    exchange = EXCHANGES["two vacation replies"]
    conversation, _ = play(write, exchange, ALICE, BOB)

    conversation.release_hold(reason="they have switched it off", actor="sam")

    conversation.refresh_from_db()
    assert (conversation.held_at, conversation.held_reason) == (None, "")
    assert conversation.events.first().reason == "released: they have switched it off"
    assert conversation.events.first().actor == "sam"
    later = [replace_time(text, hours=1) for text in exchange.texts]
    numbers = proxies(conversation)
    outcomes = [
        write((ALICE, BOB)[each.position], numbers[each.position], each.words, each.at).outcome for each in later
    ]
    assert outcomes.index("held") == texts_before_hold(exchange)


def replace_time(text, **later):
    return text._replace(at=text.at + timedelta(**later))


@pytest.mark.django_db
def test_a_hold_and_its_release_happen_once():
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    stale = Conversation.objects.get()
    conversation.hold(reason="looks odd", actor="sam")

    with pytest.raises(StaleState, match="is on hold"):
        stale.hold(reason="looks odd")
    conversation.release_hold(reason="a mistake", actor="sam")
    with pytest.raises(StaleState, match="is not on hold"):
        conversation.release_hold(reason="a mistake", actor="sam")

    assert [event.reason for event in conversation.events.all()] == [
        "released: a mistake",
        "on hold: looks odd",
        "created",
    ]


@pytest.mark.django_db
def test_a_hold_is_a_trouble_until_it_is_released_or_the_conversation_ends():
    add_numbers(4)
    first, second = talk(ALICE, BOB), talk(ALICE, CHARLIE)
    assert Trouble.HELD_CONVERSATIONS not in active_troubles()

    first.hold(reason="looks odd")
    second.hold(reason="looks odd")

    told = active_troubles()[Trouble.HELD_CONVERSATIONS]
    assert told.startswith("Conversations on hold: 2.")
    metrics = {metric.name: metric for metric in SendingCollector().collect()}
    [held] = metrics["smsproxy_conversations_held"].samples
    assert held.value == 2
    assert {sample.labels["kind"]: sample.value for sample in metrics["smsproxy_trouble"].samples}[
        "held_conversations"
    ] == 1

    first.release_hold(reason="a mistake", actor="sam")
    second.close()

    assert Trouble.HELD_CONVERSATIONS not in active_troubles()


@pytest.mark.django_db
def test_explain_route_says_that_the_conversation_is_on_hold():
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    conversation.hold(reason="both sides repeat the same texts")

    found = explain_route(ALICE, proxies(conversation)[0])

    assert found.outcome == "held"
    assert found.recipients == ()
    assert "on hold since" in found.why
    assert "both sides repeat the same texts" in found.why


@pytest.mark.django_db
def test_explain_route_neither_completes_a_loop_nor_is_remembered(write):
    add_numbers(2)
    exchange = EXCHANGES["two vacation replies"]
    conversation = talk_before(exchange, ALICE, BOB)
    numbers = proxies(conversation)
    for text in exchange.texts[: texts_before_hold(exchange)]:
        write((ALICE, BOB)[text.position], numbers[text.position], text.words, text.at)
    before = memory(conversation)

    assert explain_route(BOB, numbers[1]).is_passed_on

    assert memory(conversation) == before
