"""Limits of the messages of a person and of a conversation. Nothing over a limit is lost."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.insight.explain_route import explain_route
from conversations.intake import long_messages
from conversations.intake.receive import receive
from conversations.models import InboundMessage, LimitScope, LimitUsage, OutboundMessage
from conversations.trust.loop_breaker import Entry
from smsproxy.carriers.base import InboundText
from smsproxy.carriers.gsm7 import split
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, proxies, talk
from tests.support.demo_process import ROOT
from tests.support.outbox import notices
from tests.support.relay_process import url_of_the_test

pytestmark = pytest.mark.django_db


def relays():
    return OutboundMessage.objects.filter(kind="relay").count()


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
    before = used(LimitScope.PERSON)

    assert text(ALICE, to) == "limited"

    assert used(LimitScope.PERSON) == before


def test_a_repeated_message_uses_no_limit(text, to, settings):
    text(ALICE, to, name="same")
    before = used(LimitScope.PERSON), used(LimitScope.CONVERSATION)

    text(ALICE, to, name="same")

    assert (used(LimitScope.PERSON), used(LimitScope.CONVERSATION)) == before


def test_a_message_that_reaches_nobody_uses_no_limit_of_messages(text, to):
    text(ALICE, to, "")
    text(STRANGER, to)
    text(ALICE, to, "x" * 5000)

    assert not used(LimitScope.PERSON)
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
    messages = LimitUsage.objects.filter(scope__in=[LimitScope.PERSON, LimitScope.CONVERSATION])
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
