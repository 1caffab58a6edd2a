"""What a person, a conversation and a machine may use, and that nothing over a limit is lost or paid for."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from conversations.insight.explain_route import explain_route
from conversations.intake import fast_path, long_messages
from conversations.intake.receive import receive
from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.request import ConversationSpec, ParticipantSpec
from conversations.models import InboundMessage, LimitScope, LimitUsage, OutboundMessage
from conversations.models.gcra import time_to_wait
from conversations.models.limit_usage import DAY, Charge, notices_pair, notices_subject
from conversations.trust import limits
from conversations.trust.loop_breaker import Entry
from conversations.worker.periodic_jobs import purge_unused_limits
from numbers.models import RealNumber
from smsproxy.carriers.base import InboundText
from smsproxy.carriers.gsm7 import split
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, talk
from tests.support.demo_process import ROOT
from tests.support.hypothesis_profiles import examples
from tests.support.outbox import later
from tests.support.relay_process import url_of_the_test

pytestmark = pytest.mark.django_db

PERSON = LimitScope.PERSON


@pytest.fixture(params=[pytest.param("fast", marks=pytest.mark.django_db(transaction=True)), "general"])
def text(request, monkeypatch, time_machine):
    """Return a function text(sender, to) that returns the outcome, by both ways, while the clock stands still."""
    if request.param == "general":
        monkeypatch.setattr(fast_path, "is_available", lambda: False)
    time_machine.move_to(timezone.now(), tick=False)

    def text(sender, to, words="hello", *, name=""):
        name = name or f"in-{InboundMessage.objects.count()}"
        receive(InboundText(carrier_message_id=name, sender=sender, recipient=to, text=words))
        return InboundMessage.objects.get(carrier_message_id=name).outcome

    return text


@pytest.fixture
def to(db):
    """Return the number through which Alice reaches Bob."""
    add_numbers(6)
    return proxies(talk(ALICE, BOB))[0]


def relays():
    return OutboundMessage.objects.filter(kind="relay").count()


def notices():
    return [notice.text for notice in OutboundMessage.objects.filter(kind="notice").order_by("pk")]


def used(scope):
    return list(LimitUsage.objects.filter(scope=scope).values_list("short_ready_at", "long_ready_at"))


@pytest.mark.parametrize(
    "setting", ["MESSAGES_PER_PERSON_MINUTE", "MESSAGES_PER_PERSON_DAY", "MESSAGES_PER_CONVERSATION_MINUTE"]
)
def test_a_message_over_a_limit_is_stored_and_reaches_nobody_and_its_sender_is_told_once(text, to, settings, setting):
    setattr(settings, setting, 3)

    outcomes = [text(ALICE, to) for _ in range(6)]

    assert outcomes == ["relayed"] * 3 + ["limited"] * 3
    assert relays() == 3
    assert notices() == [settings.LIMITED_NOTICE]
    assert InboundMessage.objects.filter(outcome="limited").first().text == "hello"


def test_by_default_a_person_may_send_thirty_messages_at_once_and_five_hundred_a_day():
    defaults = _defaults()

    assert defaults["MESSAGES_PER_PERSON_MINUTE"] == 30
    assert defaults["MESSAGES_PER_PERSON_DAY"] == 500
    assert defaults["MESSAGES_PER_CONVERSATION_MINUTE"] == 60
    assert all(int(value) > 0 for value in defaults.values())


def test_after_a_while_a_person_may_send_again(text, to, settings, time_machine):
    settings.MESSAGES_PER_PERSON_MINUTE = 6
    assert [text(ALICE, to) for _ in range(7)] == ["relayed"] * 6 + ["limited"]

    time_machine.move_to(timezone.now() + timedelta(seconds=10), tick=False)

    assert [text(ALICE, to) for _ in range(2)] == ["relayed", "limited"]
    time_machine.move_to(timezone.now() + timedelta(minutes=1), tick=False)
    assert [text(ALICE, to) for _ in range(7)] == ["relayed"] * 6 + ["limited"]


def test_the_limits_of_a_person_count_all_their_conversations(text, to, settings):
    settings.MESSAGES_PER_PERSON_MINUTE = 2
    elsewhere = proxies(talk(ALICE, CHARLIE))[0]

    assert [text(ALICE, each) for each in (to, elsewhere, to, elsewhere)] == ["relayed"] * 2 + ["limited"] * 2


def test_the_limit_of_a_conversation_counts_all_its_people(text, settings):
    settings.MESSAGES_PER_CONVERSATION_MINUTE = 2
    add_numbers(6)
    alices, bobs = proxies(talk(ALICE, BOB))

    assert [text(ALICE, alices), text(BOB, bobs), text(ALICE, alices)] == ["relayed", "relayed", "limited"]


def test_what_is_over_one_limit_uses_no_other(text, to, settings):
    settings.MESSAGES_PER_CONVERSATION_MINUTE = 1
    text(ALICE, to)
    before = used(PERSON)

    assert text(ALICE, to) == "limited"

    assert used(PERSON) == before


def test_a_repeated_message_uses_no_limit(text, to, settings):
    text(ALICE, to, name="same")
    before = used(PERSON), used(LimitScope.CONVERSATION)

    text(ALICE, to, name="same")

    assert (used(PERSON), used(LimitScope.CONVERSATION)) == before


def test_a_message_that_reaches_nobody_uses_no_limit_of_messages(text, to):
    text(ALICE, to, "")
    text(STRANGER, to)
    text(ALICE, to, "x" * 5000)

    assert not used(PERSON)
    assert not used(LimitScope.CONVERSATION)


def test_without_limits_every_message_is_relayed(text, to, settings):
    settings.MESSAGES_PER_PERSON_MINUTE = settings.MESSAGES_PER_PERSON_DAY = 0
    settings.MESSAGES_PER_CONVERSATION_MINUTE = 0

    assert {text(ALICE, to) for _ in range(100)} == {"relayed"}


def test_a_long_message_uses_a_limit_once(to, settings):
    settings.MESSAGES_PER_PERSON_MINUTE = 1
    parts = split("I am at the north exit of the station, blue coat. " * 8)

    for number, words in enumerate(parts, start=1):
        long_messages.take_in(
            InboundText(
                carrier_message_id=f"part-{number}",
                sender=ALICE,
                recipient=to,
                text=words,
                concat_ref="7",
                part=number,
                parts=len(parts),
            )
        )

    assert len(parts) > 2
    assert InboundMessage.objects.filter(outcome="relayed").count() == 1


def test_the_loop_breakers_memory_survives_a_charge(text, to):
    entry = Entry.of(1, 1, "an earlier text", timezone.now())
    text(ALICE, to)
    LimitUsage.objects.filter(scope=LimitScope.CONVERSATION).update(recent=str(entry))

    text(ALICE, to)

    assert LimitUsage.objects.get(scope=LimitScope.CONVERSATION).recent.startswith(str(entry))


def test_the_explanation_of_a_route_says_that_a_limit_stops_the_message(text, to, settings):
    settings.MESSAGES_PER_PERSON_MINUTE = 1
    text(ALICE, to)

    assert explain_route(ALICE, to).outcome == "limited"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("setting", ["MESSAGES_PER_PERSON_DAY", "MESSAGES_PER_CONVERSATION_MINUTE"])
def test_a_limit_that_is_used_up_undoes_the_whole_write(to, settings, setting):
    setattr(settings, setting, 1)
    receive(InboundText(carrier_message_id="first", sender=ALICE, recipient=to, text="hello"))
    before = sorted(LimitUsage.objects.values_list("scope", "short_ready_at", "long_ready_at"))

    receive(InboundText(carrier_message_id="second", sender=ALICE, recipient=to, text="hello"))

    assert InboundMessage.objects.get(carrier_message_id="second").outcome == "limited"
    assert relays() == 1
    messages = LimitUsage.objects.filter(scope__in=[PERSON, LimitScope.CONVERSATION])
    assert sorted(messages.values_list("scope", "short_ready_at", "long_ready_at")) == before


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_two_hundred_messages_over_four_processes_exactly_the_limit_passes():
    add_numbers(12)
    tos = [proxies(talk(ALICE, f"+4477009000{index}"))[0] for index in range(11, 16)]
    program = f"""
import sys, django
django.setup()
from django.conf import settings
settings.MESSAGES_PER_PERSON_DAY, settings.MESSAGES_PER_PERSON_MINUTE = 50, 0
from conversations.intake.receive import receive
from smsproxy.carriers.base import InboundText
which, tos = int(sys.argv[1]), {tos!r}
print("ready", flush=True)
sys.stdin.readline()
for index in range(50):
    name = f"{{which}}-{{index}}"
    to = tos[(which + index) % len(tos)]
    receive(InboundText(carrier_message_id=name, sender={ALICE!r}, recipient=to, text=name))
"""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "TEST_DATABASE_URL": url_of_the_test(),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(which)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for which in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=120) and process.returncode for process in processes] == [0] * 4

    outcomes = list(InboundMessage.objects.values_list("outcome", flat=True))
    assert (outcomes.count("relayed"), outcomes.count("limited")) == (50, 150)
    assert relays() == 50


# Automatic answers ----------------------------------------------------------------------------------------------------


def test_a_message_that_is_too_long_again_and_again_draws_one_notice_an_hour(text, to, time_machine):
    for _ in range(5):
        assert text(ALICE, to, "x" * 5000) == "too_long"
    assert len(notices()) == 1

    time_machine.move_to(timezone.now() + timedelta(hours=1), tick=False)
    text(ALICE, to, "x" * 5000)

    assert len(notices()) == 2


def test_answers_of_all_kinds_from_a_number_are_limited_together(text, to, settings):
    settings.MESSAGES_PER_PERSON_MINUTE = 1
    conversation = members(talk(CHARLIE, BOB))[0]
    ended = conversation.proxy_number.number

    text(CHARLIE, ended, "x" * 5000)
    text(CHARLIE, ended)
    text(CHARLIE, ended)
    conversation.conversation.close()
    text(CHARLIE, ended)

    outcomes = InboundMessage.objects.order_by("pk").values_list("outcome", flat=True)
    assert list(outcomes) == ["too_long", "relayed", "limited", "ended"]
    assert len(notices()) == 1


def test_each_number_answers_a_person_once_an_hour(text, to):
    elsewhere = proxies(talk(ALICE, CHARLIE))[0]

    for number in (to, elsewhere, to, elsewhere):
        text(ALICE, number, "x" * 5000)

    assert len(notices()) == 2


def test_all_numbers_together_answer_a_person_a_limited_number_of_times_a_day(text, settings):
    settings.NOTICES_PER_PERSON_DAY = 3

    for number in add_numbers(6):
        text(STRANGER, number.number)

    assert len(notices()) == 3


def test_an_answer_that_is_empty_in_the_settings_uses_no_limit(text, to, settings):
    settings.NO_ROUTE_NOTICE = ""

    text(STRANGER, to)

    assert not LimitUsage.objects.exists()


def test_answers_to_keywords_are_limited_by_the_hour_and_by_the_day(settings, time_machine):
    settings.KEYWORD_ANSWERS_PER_PERSON_HOUR, settings.KEYWORD_ANSWERS_PER_PERSON_DAY = 2, 3
    time_machine.move_to(timezone.now(), tick=False)
    alice = RealNumber.objects.get_or_create_many([ALICE])[ALICE]

    assert [limits.may_answer_help(alice) for _ in range(3)] == [True, True, False]
    later(time_machine, 3600)
    assert [limits.may_answer_help(alice) for _ in range(2)] == [True, False]


def test_a_person_gets_a_limited_number_of_confirmations_a_day_and_still_has_their_conversations(settings):
    settings.CONFIRMATIONS_PER_PERSON_DAY = 1
    add_numbers(6)

    made = [
        create_conversation([ParticipantSpec(number=ALICE), ParticipantSpec(number=other)], ConversationSpec())
        for other in (BOB, CHARLIE)
    ]

    recipients = [message.recipient.number for message in OutboundMessage.objects.order_by("pk")]
    assert recipients == [ALICE, BOB, CHARLIE]
    reasons = [event.reason for event in made[1].events.order_by("pk")]
    assert reasons == ["created", "participant 0 got no confirmation: CONFIRMATIONS_PER_PERSON_DAY"]


# Arithmetic -----------------------------------------------------------------------------------------------------------


class Bucket:
    """The reference: `count` tokens at first, and `count` more in each period, up to `count`."""

    def __init__(self, count, period):
        self.count, self.period, self.tokens, self.at = count, period, float(count), 0.0

    def has(self, cost, at):
        tokens = min(self.count, self.tokens + (at - self.at) * self.count / self.period)
        return tokens, tokens >= cost - 0.001

    def take(self, cost, at):
        tokens, _ = self.has(cost, at)
        self.tokens, self.at = tokens - cost, at


STEPS = st.lists(
    st.tuples(st.sampled_from([0, 0, 0, 0.5, 1, 2, 7, 30, 60, 61, 3600, 90000]), st.sampled_from([1, 1, 1, 2, 3])),
    max_size=40,
)


@given(steps=STEPS, count=st.integers(1, 12), period=st.sampled_from([60, 3600, DAY]))
def test_a_limit_is_a_token_bucket(steps, count, period):
    bucket, ready_at, now = Bucket(count, period), 0.0, 1_800_000_000.0
    for seconds, cost in steps:
        now += seconds
        weight = cost * period / count
        wait = time_to_wait(ready_at, now, weight, period)
        _, has = bucket.has(cost, now - 1_800_000_000.0)
        assert (wait == 0) == has
        if cost <= count and wait:
            assert time_to_wait(ready_at, now + wait, weight, period) == 0
        if has:
            bucket.take(cost, now - 1_800_000_000.0)
            ready_at = max(ready_at, now) + weight


@given(steps=STEPS, minute=st.integers(0, 8), day=st.integers(0, 12))
@examples(fast=15, thorough=60)
def test_the_database_computes_as_python_does(steps, minute, day, settings):
    settings.NEW_PEOPLE_PER_KEY_MINUTE, settings.NEW_PEOPLE_PER_KEY_DAY = minute, day
    LimitUsage.objects.all().delete()
    now, row = timezone.now().replace(microsecond=0), LimitUsage()
    for seconds, cost in steps:
        now += timedelta(seconds=seconds)
        charge = Charge(LimitScope.NEW_PEOPLE, 5, cost)
        wait = charge.wait(row.short_ready_at, row.long_ready_at, now.timestamp())
        refusal = LimitUsage.objects.refusal([charge], at=now)
        assert (refusal is None) == (wait == 0)
        assert (LimitUsage.objects.consume([charge], at=now) is None) == (wait == 0)
        if charge.is_limited and not wait:
            short, long = charge.seconds
            row.short_ready_at = max(row.short_ready_at, now.timestamp()) + short
            row.long_ready_at = max(row.long_ready_at, now.timestamp()) + long
            found = LimitUsage.objects.get()
            assert found.short_ready_at == pytest.approx(row.short_ready_at, abs=1e-5)
            assert found.long_ready_at == pytest.approx(row.long_ready_at, abs=1e-5)


@pytest.mark.parametrize("count", [7, 30, 500, 5000])
def test_exactly_the_limit_passes_at_once(settings, count):
    settings.MESSAGES_PER_PERSON_MINUTE, settings.MESSAGES_PER_PERSON_DAY = count, count
    charge, now, passed = Charge(PERSON, 1), 1_800_000_000.123, 0
    short, long = 0.0, 0.0
    while charge.wait(short, long, now) == 0:
        short, long = (max(at, now) + cost for at, cost in zip((short, long), charge.seconds, strict=True))
        passed += 1

    assert passed == count


def test_a_moment_from_a_wrong_clock_stops_nobody(settings):
    settings.MESSAGES_PER_PERSON_MINUTE = 2
    now = timezone.now()
    LimitUsage.objects.consume([Charge(PERSON, 1)] * 1, at=now + timedelta(days=30))

    assert LimitUsage.objects.consume([Charge(PERSON, 1)], at=now) is None


def test_a_refusal_says_when_to_try_again(settings):
    settings.CREATIONS_PER_KEY_MINUTE, settings.CREATIONS_PER_KEY_DAY = 6, 0
    now = timezone.now()
    charge = Charge(LimitScope.CREATIONS, 1)
    for _ in range(6):
        assert LimitUsage.objects.consume([charge], at=now) is None

    assert LimitUsage.objects.consume([charge], at=now) == (LimitScope.CREATIONS, 10)
    assert LimitUsage.objects.consume([charge], at=now + timedelta(seconds=10)) is None


def test_a_pair_of_a_number_and_a_person_is_one_subject():
    assert notices_pair(notices_subject(4_000_000, 900_000_000_000)) == (4_000_000, 900_000_000_000)
    assert notices_subject(8_000_000, 1) < 2**63


# Rows -----------------------------------------------------------------------------------------------------------------


def test_the_use_of_a_limit_is_deleted_a_day_after_it_is_free_again(text, to, settings, time_machine):
    settings.MESSAGES_PER_PERSON_DAY = settings.MESSAGES_PER_PERSON_MINUTE = 1
    settings.MESSAGES_PER_CONVERSATION_MINUTE = 60
    text(ALICE, to)

    time_machine.move_to(timezone.now() + timedelta(days=1, minutes=2))
    assert purge_unused_limits() == 1
    assert LimitUsage.objects.get().scope == PERSON, "the conversation's whole limit was free after a second"

    time_machine.move_to(timezone.now() + timedelta(days=1))
    assert purge_unused_limits() == 1
    assert not LimitUsage.objects.exists()


def test_staff_see_who_uses_a_limit_by_id_and_not_by_number(text, to, settings, admin_client):
    settings.MESSAGES_PER_PERSON_MINUTE = 1
    text(ALICE, to)
    text(ALICE, to)
    alice = RealNumber.objects.with_number(ALICE).get()

    page = admin_client.get(reverse("admin:conversations_limitusage_changelist")).content.decode()

    assert f"person {alice.pk}" in page
    assert "virtual number" in page
    assert "used up" in page
    assert "within the limit" in page
    assert ALICE[1:] not in page
    assert to[1:] not in page
    row = LimitUsage.objects.get(scope=PERSON)
    assert admin_client.get(reverse("admin:conversations_limitusage_change", args=[row.pk])).status_code == 200


def _defaults():
    """Return the limits of the product's own settings."""
    program = (
        "import django; django.setup()\nfrom django.conf import settings\n"
        "for name in dir(settings):\n"
        "    if '_PER_' in name and name.endswith(('MINUTE', 'HOUR', 'DAY')): print(name, getattr(settings, name))\n"
    )
    environment = {name: value for name, value in os.environ.items() if "_PER_" not in name}
    environment["DJANGO_SETTINGS_MODULE"] = "smsproxy.settings"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return {name: int(value) for name, value in (line.split() for line in done.stdout.splitlines())}
