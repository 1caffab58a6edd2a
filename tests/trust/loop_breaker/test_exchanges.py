"""Two machines that answer each other are stopped within ten texts. People are not."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.models import InboundMessage, OutboundMessage
from conversations.trust.loop_breaker import MEMORY_WIDTH, REMEMBERED, Entry
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, proxies, talk
from tests.support.loops import AWAY, EXCHANGES, MOST_TEXTS, memory, play, texts_before_hold

CLOSED = "We have received your request {}. Our office is closed on weekends."


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name",
    ["a vacation reply and a ticket system", "two chatbots with ever new sentences", "short answers within a second"],
)
def test_a_loop_puts_its_conversation_on_hold_and_keeps_its_texts(write, name, caplog):
    exchange = EXCHANGES[name]

    conversation, outcomes = play(write, exchange, ALICE, BOB)

    relayed = texts_before_hold(exchange)
    assert Counter(outcomes) == {"relayed": relayed, "held": len(exchange.texts) - relayed}
    assert outcomes == sorted(outcomes, reverse=True), "once on hold, always on hold"
    assert OutboundMessage.objects.count() == relayed, "no notice: its reader may be a machine"
    assert conversation.held_at is not None
    [held, *_] = InboundMessage.objects.filter(outcome="held").order_by("pk")
    assert held.reason == conversation.held_reason != ""
    assert held.text == exchange.texts[relayed].words
    event = conversation.events.first()
    assert (event.reason, event.actor) == (f"on hold: {conversation.held_reason}", "")
    assert caplog.messages.count(f"conversation {conversation.pk} is on hold: {conversation.held_reason}") == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name",
    ["ok, five times each", "a storm of emoji", "both type at once", "where are you, to a phone in driving mode"],
)
def test_the_texts_of_people_are_relayed(write, name):
    conversation, outcomes = play(write, EXCHANGES[name], ALICE, BOB)

    assert set(outcomes) == {"relayed"}
    assert conversation.held_at is None


@pytest.mark.django_db
def test_two_responders_in_a_group_are_stopped(write):
    name = "a group of three with two responders and a silent person"

    conversation, outcomes = play(write, EXCHANGES[name], ALICE, BOB, CHARLIE)

    assert conversation.held_at is not None
    assert outcomes.count("relayed") < MOST_TEXTS


@pytest.mark.django_db
def test_other_conversations_of_the_same_people_go_on(write):
    conversation, _ = play(write, EXCHANGES["two vacation replies"], ALICE, BOB)
    add_numbers(2, start="+4477009006")
    other = talk(ALICE, BOB)

    assert conversation.held_at
    assert write(ALICE, proxies(other)[0], AWAY).outcome == "relayed"


@pytest.mark.django_db
def test_without_the_carrier_s_time_the_arrival_counts(write, time_machine):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    numbers = proxies(conversation)
    now = timezone.now()

    for place in range(MOST_TEXTS):
        time_machine.move_to(now + timedelta(seconds=7 * place), tick=False)
        side = place % 2
        write((ALICE, BOB)[side], numbers[side], AWAY if side else CLOSED.format(place))

    conversation.refresh_from_db()
    assert conversation.held_at
    newest = Entry.parse(memory(conversation)[-MEMORY_WIDTH // REMEMBERED :])
    held = InboundMessage.objects.filter(outcome="held").first()
    assert newest.tenths < int(held.received_at.timestamp() * 10)


@pytest.mark.django_db
@pytest.mark.parametrize("ended", [True, False])
def test_a_responder_that_answers_our_notices_gets_one(write, ended):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    conversation.close()
    if not ended:
        conversation.participants.update(released_at=timezone.now())

    outcomes = {write(ALICE, proxies(conversation)[0], AWAY).outcome for _ in range(50)}

    assert outcomes == {"ended" if ended else "no_route"}
    assert OutboundMessage.objects.count() == 1
