"""A conversation never gets a text that is older than itself, on the fast path and on the general one."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from conversations.intake import fast_path, long_messages
from conversations.intake import receive as receive_module
from conversations.intake.receive import receive
from conversations.models import Conversation, InboundMessage, OutboundMessage, Participant
from conversations.models.participant import CLOCK_TOLERANCE
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.carriers.base import InboundText
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, replace_number_of, talk
from tests.support.outbox import work
from tests.support.signing import signed_inbound

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


@pytest.fixture(params=["fast path", "general path"])
def path(request, monkeypatch):
    """Run the test on both paths. SQLite has only the general one."""
    if request.param == "general path":
        monkeypatch.setattr(fast_path, "is_available", lambda: False)
    elif connection.vendor != "postgresql":
        pytest.skip("SQLite has only the general path")


@pytest.fixture
def clock(time_machine):
    """Stop the clock at a whole second, as the carrier's times are."""
    time_machine.move_to(timezone.now().replace(microsecond=0), tick=False)
    return time_machine


def text(to, **fields):
    """Receive a text from Alice and return its row. By default, the carrier dates it now."""
    given = {"carrier_message_id": f"in-{InboundMessage.objects.count()}", "sender": ALICE, "text": "to Bob"}
    message = InboundText(recipient=to, **given | {"sent_at": timezone.now()} | fields)
    (long_messages.take_in if message.parts > 1 else receive)(message)
    return InboundMessage.objects.get(carrier_message_id=message.carrier_message_id)


def part(number, to, **fields):
    return text(to, text=f"<{number}>", concat_ref="7", part=number, parts=2, **fields)


def texts_to(person):
    return [each.text for each in OutboundMessage.objects.all() if each.recipient.number == person]


def cut_short(clock):
    """Create a conversation of Alice and Bob, end it, and give its pair to Alice and Charlie. Return both."""
    add_numbers(1)
    first = talk(ALICE, BOB)
    clock.shift(timedelta(days=2))
    first.close()
    second = talk(ALICE, CHARLIE, on_exhausted="soft")
    assert proxies(second)[0] == proxies(first)[0]
    return first, second


# The earliest part decides --------------------------------------------------------------------------------------------


def test_a_long_message_that_began_before_the_conversation_does_not_reach_it(clock):
    """Its pair went to another conversation in between: by hand here, because an open long message prevents it."""
    add_numbers(1)
    first = talk(ALICE, BOB)
    [to] = proxies(first)[:1]
    part(1, to)
    clock.shift(SECOND)
    first.close()
    first.participants.update(released_at=timezone.now())
    second = talk(ALICE, CHARLIE)
    assert proxies(second)[0] == to
    clock.shift(SECOND)

    part(2, to)

    whole = InboundMessage.objects.get(carrier_message_id__startswith="long:")
    assert (whole.outcome, whole.participant, whole.text) == ("ended", members(first)[0], "<1><2>")
    assert texts_to(CHARLIE) == texts_to(BOB) == []


@pytest.mark.parametrize("sent_at", ["now", None])
def test_a_long_message_that_began_when_its_pair_belonged_to_nobody_reaches_nobody(clock, sent_at):
    """Parts are dated by our own clock, so nothing is tolerated."""
    [number] = add_numbers(1)
    part(1, number.number, sent_at=timezone.now() if sent_at else None)
    clock.shift(SECOND)
    talk(ALICE, BOB)

    part(2, number.number, sent_at=timezone.now() if sent_at else None)

    whole = InboundMessage.objects.get(carrier_message_id__startswith="long:")
    assert (whole.outcome, whole.participant) == ("no_route", None)
    assert texts_to(BOB) == []


def test_a_long_message_whose_only_old_part_is_by_the_carriers_time_reaches_nobody(clock):
    _, second = cut_short(clock)
    to = proxies(second)[0]
    clock.shift(5 * SECOND)
    part(1, to)

    part(2, to, sent_at=timezone.now() - 10 * SECOND)

    whole = InboundMessage.objects.get(carrier_message_id__startswith="long:")
    assert whole.outcome == "ended"
    assert texts_to(CHARLIE) == []


# The carrier's own time -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("path")
def test_a_signed_webhook_from_before_the_conversation_does_not_reach_it(clock):
    first, second = cut_short(clock)
    old = timezone.now() - timedelta(hours=20)
    clock.shift(timedelta(minutes=5))
    body = signed_inbound(
        msisdn=ALICE[1:],
        to=proxies(second)[0][1:],
        message_timestamp=f"{old:%Y-%m-%d %H:%M:%S}",
        timestamp=str(int(old.timestamp())),
    )

    assert Client().post("/webhooks/vonage/inbound-sms", body, "application/json").status_code == 200

    message = InboundMessage.objects.get()
    assert (message.outcome, message.participant) == ("ended", members(first)[0])
    assert texts_to(CHARLIE) == texts_to(BOB) == []


@pytest.mark.usefixtures("path")
def test_a_text_older_than_every_conversation_of_its_pair_has_no_route(clock):
    _, second = cut_short(clock)

    message = text(proxies(second)[0], sent_at=timezone.now() - timedelta(days=3))

    assert (message.outcome, message.participant) == ("no_route", None)
    assert texts_to(CHARLIE) == texts_to(BOB) == []


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("before", [SECOND, CLOCK_TOLERANCE])
def test_a_clock_that_is_a_little_behind_stops_nothing_in_the_first_conversation_of_a_pair(clock, before):
    add_numbers(1)
    conversation = talk(ALICE, BOB)

    assert text(proxies(conversation)[0], sent_at=timezone.now() - before).outcome == "relayed"
    too_far = timezone.now() - CLOCK_TOLERANCE - SECOND
    assert text(proxies(conversation)[0], sent_at=too_far).outcome == "no_route"


@pytest.mark.usefixtures("path")
def test_the_tolerance_never_reaches_back_to_when_the_pair_stood_for_other_people(clock):
    _, second = cut_short(clock)
    to = proxies(second)[0]

    assert text(to, sent_at=timezone.now() - SECOND).outcome == "ended"
    assert text(to, sent_at=timezone.now()).outcome == "relayed"
    assert texts_to(CHARLIE) == ["to Bob"]


@pytest.mark.usefixtures("path")
def test_the_tolerance_begins_at_the_release_of_the_pair(clock, settings):
    add_numbers(1)
    talk(ALICE, BOB).close()
    clock.shift(timedelta(seconds=settings.COOL_DOWN_SECONDS + 1))
    run_jobs()
    released_at = timezone.now()
    clock.shift(30 * SECOND)
    second = talk(ALICE, CHARLIE)

    assert text(proxies(second)[0], sent_at=released_at - SECOND).outcome == "ended"
    assert text(proxies(second)[0], sent_at=released_at + SECOND).outcome == "relayed"


@pytest.mark.usefixtures("path")
def test_the_next_conversation_of_the_same_two_people_tolerates_the_clock(clock):
    add_numbers(1)
    first = talk(ALICE, BOB)
    clock.shift(timedelta(hours=1))
    first.close()
    again = talk(ALICE, BOB)
    to = proxies(again)[0]
    assert to == proxies(first)[0]

    assert text(to, sent_at=timezone.now() - SECOND).outcome == "relayed"
    assert text(to, sent_at=timezone.now() - CLOCK_TOLERANCE - SECOND).outcome == "ended"


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("sent_at", [None, timedelta(days=400)], ids=["missing", "in the future"])
def test_without_a_usable_time_of_the_carrier_the_arrival_decides(clock, sent_at):
    _, second = cut_short(clock)

    message = text(proxies(second)[0], sent_at=sent_at and timezone.now() + sent_at)

    assert message.outcome == "relayed"
    assert texts_to(CHARLIE) == ["to Bob"]


@pytest.mark.usefixtures("path")
def test_a_text_from_before_a_reopening_or_a_replacement_still_reaches_its_conversation(clock):
    add_numbers(3)
    conversation = talk(ALICE, BOB)
    to = proxies(conversation)[0]
    clock.shift(timedelta(hours=1))
    written_at = timezone.now()
    clock.shift(timedelta(hours=1))
    conversation.close()
    Conversation.objects.get().reopen()
    replace_number_of(members(conversation)[0])

    assert text(to, sent_at=written_at).outcome == "relayed"
    assert text(proxies(conversation)[0], sent_at=written_at).outcome == "no_route"


@pytest.mark.usefixtures("path")
def test_the_sender_of_an_older_text_gets_the_ended_notice_at_most_and_only_once(clock, settings, carrier):
    first, second = cut_short(clock)
    to = proxies(second)[0]
    for _ in range(3):
        assert text(to, sent_at=timezone.now() - timedelta(hours=2)).outcome == "ended"
    work()

    assert [(each.recipient, each.text) for each in carrier.sent] == [(ALICE, settings.ENDED_NOTICE)]
    assert Conversation.objects.get(pk=first.pk).state == "closed"


@pytest.mark.usefixtures("path")
def test_an_older_text_does_not_reopen_a_conversation(clock):
    _, second = cut_short(clock)
    Conversation.objects.update(late_messages="reopen")
    clock.shift(timedelta(hours=1))
    second.refresh_from_db()
    second.close()

    assert text(proxies(second)[0], sent_at=timezone.now() - timedelta(hours=2)).outcome == "ended"
    assert Conversation.objects.get(pk=second.pk).state == "closed"


# Concurrent changes ---------------------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_a_pair_that_is_given_away_between_the_read_and_the_fast_write_gets_nothing(monkeypatch):
    add_numbers(1)
    first = talk(ALICE, BOB)
    results = []
    write_relayed = fast_path.write_relayed

    def give_away_and_write(message, context):
        monkeypatch.setattr(fast_path, "write_relayed", write_relayed)
        first.close()
        talk(ALICE, CHARLIE, on_exhausted="soft")
        results.append(write_relayed(message, context))
        return results[-1]

    monkeypatch.setattr(fast_path, "write_relayed", give_away_and_write)
    message = text(proxies(first)[0])

    assert results == [fast_path.RelayResult.CONFLICT]
    assert (message.outcome, message.participant) == ("ended", members(first)[0])
    assert texts_to(CHARLIE) == texts_to(BOB) == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("parts", [1, 2])
def test_a_text_that_waits_while_its_pair_is_given_away_does_not_reach_the_new_conversation(monkeypatch, parts):
    """It arrives before the release, and is processed after it."""
    add_numbers(1)
    first = talk(ALICE, BOB)
    first.close()
    [to] = proxies(first)[:1]

    def give_away():
        talk(ALICE, CHARLIE, on_exhausted="soft")
        connection.close()

    def given_away_first(read):
        def give_away_and_read(*arguments, **options):
            if not Participant.objects.released().exists():
                with ThreadPoolExecutor(1) as beside:
                    beside.submit(give_away).result(60)
            return read(*arguments, **options)

        return give_away_and_read

    monkeypatch.setattr(fast_path, "is_available", lambda: False)
    for module, read in [(receive_module, "read_arrival_locked"), (long_messages, "read_arrival")]:
        monkeypatch.setattr(module, read, given_away_first(getattr(module, read)))
    if parts == 1:
        text(to, sent_at=None)
    else:
        part(1, to, sent_at=None)
        part(2, to, sent_at=None)

    assert InboundMessage.objects.order_by("pk").last().outcome == "ended"
    assert Participant.objects.released().count() == 1
    assert texts_to(CHARLIE) == texts_to(BOB) == []
