"""The memory of the loop breaker: the last texts of a conversation, without their words."""

from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.intake import fast_path, long_messages
from conversations.intake.read_arrival import read_arrival
from conversations.models import LimitUsage
from conversations.trust.loop_breaker import MEMORY_WIDTH, REMEMBERED, Entry, find_loop, normalised
from smsproxy.carriers.base import InboundText
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.loops import AWAY, memory


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


@pytest.mark.django_db
def test_the_memory_ends_with_the_conversation(write):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    write(ALICE, proxies(conversation)[0], AWAY)
    assert memory(conversation)

    conversation.close()

    assert memory(conversation) == ""
