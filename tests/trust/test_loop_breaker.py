"""Two machines that answer each other are stopped within ten texts. People are not."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.insight.collect_status import collect_status
from conversations.insight.explain_route import explain_route
from conversations.insight.metrics import SendingCollector
from conversations.insight.status import Trouble
from conversations.intake import fast_path, long_messages, receive
from conversations.intake.read_arrival import read_arrival
from conversations.models import Conversation, InboundMessage, LimitUsage, OutboundMessage, Participant
from conversations.trust.loop_breaker import MEMORY_WIDTH, REMEMBERED, Entry, find_loop, normalised
from smsproxy.carriers.base import InboundText
from smsproxy.states import StaleState
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, proxies, talk
from tests.trust.exchanges import read_exchanges

EXCHANGES = {exchange.name: exchange for exchange in read_exchanges()}
LOOPS = [exchange for exchange in EXCHANGES.values() if exchange.is_loop]
PEOPLE = [exchange for exchange in EXCHANGES.values() if not exchange.is_loop]
MOST_TEXTS = 10
# Loops that no rule finds in time: as slow and as short as people, or between three machines.
MISSED = {"short answers, slowly", "a group of three responders"}

AWAY = "Thank you for your text. I am on holiday and will answer in September."
CLOSED = "We have received your request {}. Our office is closed on weekends."


def texts_before_hold(exchange):
    """Return how many texts of the machines are relayed."""
    held_at = exchange.held_at()
    assert held_at is not None
    return held_at - 1


# The labelled set -----------------------------------------------------------------------------------------------------


def test_the_labelled_set_has_enough_exchanges_of_both_kinds():
    assert len(LOOPS) >= 40
    assert len(PEOPLE) >= 40
    assert all(len(exchange.texts) - exchange.by_people >= MOST_TEXTS for exchange in LOOPS)


@pytest.mark.parametrize("exchange", PEOPLE, ids=str)
def test_people_are_not_stopped(exchange):
    assert exchange.held_at() is None


@pytest.mark.parametrize("exchange", [each for each in LOOPS if each.name not in MISSED], ids=str)
def test_a_loop_of_machines_is_stopped_within_ten_texts(exchange):
    assert texts_before_hold(exchange) < MOST_TEXTS


def test_precision_and_recall_on_the_labelled_set(capsys):
    held = [exchange for exchange in EXCHANGES.values() if exchange.held_at() is not None]
    in_time = [exchange for exchange in LOOPS if (exchange.held_at() or MOST_TEXTS + 1) <= MOST_TEXTS]
    precision = sum(exchange.is_loop for exchange in held) / len(held)
    recall = len(in_time) / len(LOOPS)
    with capsys.disabled():
        print(  # noqa: T201
            f"\nloop breaker: {len(LOOPS)} loops and {len(PEOPLE)} exchanges of people; "
            f"precision {precision:.3f}, recall within {MOST_TEXTS} texts {recall:.3f}"
        )

    assert precision == 1.0
    assert recall >= 0.95
    assert {exchange.name for exchange in LOOPS} - {exchange.name for exchange in in_time} == MISSED


# The memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Your ticket is #123.", "your  ticket is #124"),
        ("Case AB12C: received", "Case 7f3: RECEIVED!"),
        ("Reçu à 14:05", "reçu à 9:30"),
        ("Ticket 123", "Ticket 123"),  # Fullwidth digits.
    ],
)
def test_texts_that_differ_in_numbers_case_and_marks_are_alike(one, other):
    assert normalised(one) == normalised(other) != ""


def test_an_entry_is_read_as_it_was_written_whatever_its_time():
    for year in (1, 1970, 2026, 9999):
        entry = Entry.of(7, 9, "Hello there, is anybody at home? " * 40, timezone.now().replace(year=year, day=1))

        assert len(str(entry)) == MEMORY_WIDTH // REMEMBERED
        assert Entry.parse(str(entry)) == entry


def test_an_entry_tells_neither_the_text_nor_that_another_conversation_has_the_same():
    now = timezone.now()
    entry = Entry.of(1, 0, AWAY, now)

    assert entry.digest != Entry.of(2, 0, AWAY, now).digest
    assert entry.digest == Entry.of(1, 1, AWAY, now).digest


def test_an_entry_of_nothing_but_marks_is_no_repeat():
    now = timezone.now()
    recent = "".join(str(Entry.of(1, place % 2, "?!" * 20, now + timedelta(minutes=place))) for place in range(12))

    assert find_loop(recent, Entry.of(1, 0, "?!" * 20, now + timedelta(minutes=13))) == ""


# Both ways of writing -------------------------------------------------------------------------------------------------


def memory(conversation):
    return LimitUsage.objects.get(scope="conversation", subject_id=conversation.pk).recent


def talk_before(exchange, *people):
    """Return a conversation between these people that is older than the exchange."""
    conversation = talk(*people)
    Participant.objects.filter(conversation=conversation).update(created_at=exchange.texts[0].at)
    return conversation


def play(write, exchange, *people):
    """Take in the texts of an exchange between these people, and return the conversation and the outcomes."""
    add_numbers(len(people))
    conversation = talk_before(exchange, *people)
    numbers = proxies(conversation)
    outcomes = [
        write(people[text.position], numbers[text.position], text.words, text.at).outcome for text in exchange.texts
    ]
    conversation.refresh_from_db()
    return conversation, outcomes


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
def test_the_memory_has_one_length_and_ends_with_the_newest(write):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    now = timezone.now()

    for place in range(REMEMBERED + 3):
        write(ALICE, proxies(conversation)[0], f"{'so ' * place}here I am", now - timedelta(seconds=30 - place))

    last = Entry.of(conversation.pk, 0, f"{'so ' * place}here I am", now - timedelta(seconds=30 - place))
    assert len(memory(conversation)) == MEMORY_WIDTH
    assert memory(conversation).endswith(str(last))


@pytest.mark.django_db
def test_what_reaches_nobody_is_not_remembered(write, settings):
    settings.MAX_SEGMENTS = 1
    add_numbers(2)
    conversation = talk(ALICE, BOB)

    assert write(ALICE, proxies(conversation)[0], "too long " * 40).outcome == "too_long"
    assert not LimitUsage.objects.filter(scope="conversation").exists()


@pytest.mark.django_db
@pytest.mark.postgres
def test_two_texts_that_were_read_at_once_are_both_remembered():
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    texts = [
        InboundText(carrier_message_id=f"in-{place}", sender=sender, recipient=to, text=f"text {place}", sent_at=None)
        for place, (sender, to) in enumerate(zip((ALICE, BOB), proxies(conversation), strict=True))
    ]
    contexts = [read_arrival(text.sender, text.recipient, text.text) for text in texts]

    for text, context in zip(texts, contexts, strict=True):
        assert fast_path.write_relayed(text, context) is fast_path.RelayResult.DONE

    assert LimitUsage.objects.get(scope="conversation").recent == "".join(str(context.entry) for context in contexts)


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
def test_a_long_message_is_remembered_with_the_carrier_s_time():
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    sent_at = timezone.now() - timedelta(seconds=30)
    for part in (1, 2):
        long_messages.take_in(
            InboundText(
                carrier_message_id=f"part-{part}",
                sender=ALICE,
                recipient=proxies(conversation)[0],
                text=f"part {part} ",
                concat_ref="7",
                part=part,
                parts=2,
                sent_at=sent_at,
            )
        )

    entry = Entry.parse(memory(conversation))
    assert entry == Entry.of(conversation.pk, 0, "part 1 part 2 ", sent_at)


# Hold and release -----------------------------------------------------------------------------------------------------


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
def test_the_memory_ends_with_the_conversation(write):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    write(ALICE, proxies(conversation)[0], AWAY)
    assert memory(conversation)

    conversation.close()

    assert memory(conversation) == ""


@pytest.mark.django_db
def test_a_hold_is_a_trouble_until_it_is_released_or_the_conversation_ends():
    add_numbers(4)
    first, second = talk(ALICE, BOB), talk(ALICE, CHARLIE)
    assert Trouble.HELD_CONVERSATIONS not in collect_status().troubles

    first.hold(reason="looks odd")
    second.hold(reason="looks odd")

    told = collect_status().troubles[Trouble.HELD_CONVERSATIONS]
    assert told.startswith("Conversations on hold: 2.")
    metrics = {metric.name: metric for metric in SendingCollector().collect()}
    [held] = metrics["smsproxy_conversations_held"].samples
    assert held.value == 2
    assert {sample.labels["kind"]: sample.value for sample in metrics["smsproxy_trouble"].samples}[
        "held_conversations"
    ] == 1

    first.release_hold(reason="a mistake", actor="sam")
    second.close()

    assert Trouble.HELD_CONVERSATIONS not in collect_status().troubles


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


# Our own notices ------------------------------------------------------------------------------------------------------


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
