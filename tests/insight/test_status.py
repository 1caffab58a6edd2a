"""The sending status for operators and programs: pauses with reason and duration, and queue lengths."""

import json
import re
from datetime import timedelta

import pytest
from django.db import ProgrammingError, connection
from django.utils import timezone

from conversations.delivery.relay import Relay
from conversations.insight import collect_status as collect_status_module
from conversations.insight import status
from conversations.insight.collect_status import collect_status
from conversations.insight.troubles.kinds import Trouble
from conversations.management import show_status
from conversations.models import AccountRateLimit, NumberRateLimit, OutboundMessage, Worker
from conversations.models.outbound import MAX_RESENDS
from numbers.models import NumberState, Pool, Shortage, VirtualNumber
from smsproxy.carriers.base import AccountFault, FaultScope, OutcomeUnknown, SenderFault, TemporaryFailure
from smsproxy.database import migrations
from tests.support.builders import ALICE, BOB, add_numbers
from tests.support.outbox import later, queue
from tests.support.query_plans import forget_statistics
from tests.support.troubles import active_troubles

NO_CREDIT = AccountFault("the account has no credit", code="9")
NOT_ALLOWED = SenderFault("this sender is not allowed", code="15")
SECRET_WORDS = "meet me at the old lighthouse"

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker():
    """Return a live worker."""
    return Worker.objects.create(name="host-a, process 1 (9f2e)", concurrency=20, in_flight=5)


def status_of(run, *options):
    """Return the exit code and output of manage.py status."""
    return run("status", *options)


# Workers --------------------------------------------------------------------------------------------------------------


def test_the_status_of_a_new_deployment_is_healthy(run):
    code, output = status_of(run)

    assert code == 0
    assert "SENDING is active" in output
    assert not AccountRateLimit.objects.exists()


def test_queued_messages_are_no_trouble_while_a_worker_is_alive(run, bob, worker):
    queue(bob, "Hello", "Are you there?")

    code, output = status_of(run)

    assert code == 0
    assert "host-a, process 1 (9f2e)" in output
    assert "5 of 20 calls in flight" in output


def test_queued_messages_without_a_worker_are_trouble(run, bob):
    queue(bob, "Hello")

    code, output = status_of(run)

    assert code == 1
    assert "Start manage.py relay" in output


def test_a_killed_worker_is_reported_for_a_day(run, bob, worker, time_machine):
    queue(bob, "Hello")
    later(time_machine, 180)

    code, output = status_of(run)

    assert code == 1
    assert "silent for 3 min" in output
    later(time_machine, 86400)
    assert "host-a" not in status_of(run)[1]


def test_a_live_worker_that_sends_nothing_is_reported_with_its_reason(run, worker):
    Worker.objects.update(trouble="it does not reach the carrier")

    code, output = status_of(run)

    assert code == 1
    assert re.search(r"host-a, process 1 \(9f2e\) +sends nothing +it does not reach the carrier", output)
    assert list(active_troubles()) == [Trouble.WORKER_WAITS]


def test_the_reason_of_a_killed_worker_is_no_longer_reported(worker, time_machine):
    Worker.objects.update(trouble="it does not reach the carrier")
    later(time_machine, 180)

    assert Trouble.WORKER_WAITS not in active_troubles()


# Pauses ---------------------------------------------------------------------------------------------------------------


def test_a_pause_is_reported_with_its_reason_its_duration_and_the_next_probe(run, bob, worker, carrier, time_machine):
    time_machine.move_to(timezone.now(), tick=False)
    carrier.script = [NO_CREDIT]
    queue(bob, "Hello")
    Relay().send_due()
    time_machine.shift(15)

    code, output = status_of(run)

    assert code == 1
    assert "for 15 s: the account has no credit (code 9)" in output
    assert "a test message is sent in 45 s" in output
    assert "no test so far" in output
    assert "sent as soon as sending resumes" in output


def test_each_failed_probe_is_counted(bob, carrier, time_machine):
    carrier.script = [NO_CREDIT, NO_CREDIT, NO_CREDIT]
    queue(bob, "Hello")
    for _ in range(3):
        Relay().send_due()
        later(time_machine, 61)

    assert collect_status().account.failed_probes == 2


def test_a_number_refused_by_the_carrier_is_reported_with_its_queue(run, bob, worker, carrier):
    carrier.script = [NOT_ALLOWED]
    queue(bob, "Hello", "Are you there?")
    Relay().send_due()

    [waiting] = collect_status().waiting_numbers
    code, output = status_of(run)

    assert (waiting.number, waiting.state, waiting.queued) == (bob.proxy_number.number, NumberState.QUARANTINED, 2)
    assert code == 1
    assert bob.proxy_number.number in output
    assert "this sender is not allowed" in output
    assert "Virtual numbers in quarantine: 1." in output


def test_a_throttled_number_needs_no_staff(run, bob, worker, carrier):
    carrier.script = [TemporaryFailure("throttled", scope=FaultScope.NUMBER, retry_after=30)]
    queue(bob, "Hello")
    Relay().send_due()

    code, output = status_of(run)

    assert code == 0
    assert "throttled" in output


def test_a_quarantined_number_that_can_send_still_needs_staff(bob):
    bob.proxy_number.quarantine(reason="the carrier refuses it")

    [waiting] = collect_status().waiting_numbers

    assert (waiting.why, waiting.until) == ("the carrier refuses it", None)
    assert Trouble.QUARANTINED in active_troubles()


def test_a_quarantined_number_is_reported_with_its_latest_reason(run, bob):
    number = bob.proxy_number
    number.quarantine(reason="by staff")
    number.restore(reason="by staff")
    number.quarantine(reason="its texts do not arrive")
    number.record_event(number.state, old_state=number.state, reason="pointed at another address")

    assert re.search(r"quarantined .* gets no new conversations +its texts do not arrive", status_of(run)[1])
    [waiting] = json.JSONDecoder().raw_decode(status_of(run, "--json")[1])[0]["waiting_numbers"]
    assert waiting["why"] == "its texts do not arrive"


def test_a_throttled_number_is_not_reported_with_the_reason_of_a_past_quarantine(bob):
    number = bob.proxy_number
    number.quarantine(reason="by staff")
    number.restore(reason="by staff")
    NumberRateLimit.objects.wait(number, 300, "throttled")

    assert [waiting.why for waiting in collect_status().waiting_numbers] == ["throttled"]


def test_a_released_number_is_not_reported_as_waiting(bob):
    NumberRateLimit.objects.wait(bob.proxy_number, 300, "throttled")
    bob.proxy_number.transition(NumberState.RETIRED, reason="for the test", is_rented=False)

    assert collect_status().waiting_numbers == []


# Queue lengths --------------------------------------------------------------------------------------------------------


def test_each_queued_message_is_counted_by_the_cause_of_its_wait(bob, time_machine):
    ready, *fast, throttled_one, backing_off = queue(bob, *"abcde")
    plain, busy, throttled = VirtualNumber.objects.all()
    for sender, messages in ((plain, [ready, backing_off]), (busy, fast), (throttled, [throttled_one])):
        OutboundMessage.objects.filter(pk__in=[message.pk for message in messages]).update(sender=sender)
    later(time_machine, 60)
    soon = timezone.now() + timedelta(seconds=30)
    NumberRateLimit.objects.create(number=busy, ready_at=soon)
    NumberRateLimit.objects.wait(throttled, 30, "throttled")
    OutboundMessage.objects.filter(pk=backing_off.pk).update(due_at=soon)
    OutboundMessage.objects.filter(pk=fast[0].pk).update(created_at=ready.created_at - timedelta(hours=1))

    texts = collect_status().texts

    assert (texts.queued, texts.ready, texts.behind_their_rate, texts.behind_a_wait, texts.backing_off) == (
        5,
        1,
        2,
        1,
        1,
    )
    assert texts.oldest_queued_at == ready.created_at - timedelta(hours=1)


def test_an_unknown_outcome_waits_for_a_receipt_and_then_for_staff(run, bob, worker, carrier, time_machine, settings):
    carrier.script = [OutcomeUnknown("no answer")]
    queue(bob, "Hello")
    Relay().send_due()

    assert (collect_status().texts.unknown, collect_status().texts.undecided) == (1, 0)
    assert status_of(run)[0] == 0
    later(time_machine, settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS + 1)
    assert collect_status().texts.undecided == 1
    assert status_of(run)[0] == 1
    settings.UNKNOWN_OUTCOME_POLICY = "resend"
    assert collect_status().texts.undecided == 0


@pytest.mark.parametrize(("resends", "undecided"), [(MAX_RESENDS - 1, 0), (MAX_RESENDS, 1)])
def test_a_message_that_exhausted_its_resends_waits_for_staff(run, bob, worker, settings, resends, undecided):
    settings.UNKNOWN_OUTCOME_POLICY = "resend"
    queue(bob, "Hello")
    OutboundMessage.objects.update(state="unknown", due_at=timezone.now(), resends=resends)

    assert (collect_status().texts.unknown, collect_status().texts.undecided) == (1, undecided)
    assert status_of(run)[0] == undecided


def test_counts_are_bounded(run, bob, worker, monkeypatch):
    for module in (status, collect_status_module):
        monkeypatch.setattr(module, "MAX_COUNT", 3)
    monkeypatch.setattr("conversations.management.status_table.MAX_COUNT", 3)
    queue(bob, *"abcde")

    assert collect_status().texts.queued == 3
    assert "3 or more" in status_of(run)[1]


# The pool -------------------------------------------------------------------------------------------------------------


def test_shortages_are_reported_for_an_hour(run, time_machine):
    time_machine.move_to("2026-11-25T12:00:00Z", tick=False)
    berlin = Pool.objects.create(name="berlin")
    for pool, country in ((None, "FR"), (berlin, "GB")):
        Shortage.objects.create(pool=pool, country=country, eligible_count=3, in_use=3, needed=4, reason="for the test")

    code, output = status_of(run)

    assert code == 1
    assert (
        "Conversations without a free number in the last hour: 2, the last at 2026-11-25 12:00 UTC for pool "
        "berlin, country GB."
    ) in output
    assert collect_status().shortages == status.Shortages(count=2, last_at=timezone.now(), pool="berlin", country="GB")
    later(time_machine, 3601)
    assert status_of(run)[0] == 0
    assert collect_status().shortages.count == 0


def test_shortages_are_counted_up_to_a_bound(monkeypatch):
    for module in (status, collect_status_module):
        monkeypatch.setattr(module, "MAX_COUNT", 3)
    for _ in range(5):
        Shortage.objects.create(eligible_count=0, in_use=0, needed=1, reason="for the test")

    assert collect_status().shortages.count == 3
    assert "in the last hour: 3 or more, the last at" in active_troubles()[Trouble.SHORTAGES]


def test_retired_numbers_that_are_still_rented_are_reported_with_their_cost(run):
    rows = add_numbers(4)
    for row, cost in zip(rows, ["1.25", "1.45", None, "9"], strict=True):
        VirtualNumber.objects.filter(pk=row.pk).update(monthly_cost=cost)
    for row in rows[:3]:
        row.retire(reason="for the test")

    code, output = status_of(run)

    assert code == 1
    assert "Retired numbers that are still rented: 3, EUR 2.70 a month, and 1 whose cost is not known." in output
    VirtualNumber.objects.update(state=NumberState.RETIRED, is_rented=False)
    assert status_of(run)[0] == 0


# Output ---------------------------------------------------------------------------------------------------------------


def test_the_status_is_available_as_json(run, bob, worker):
    queue(bob, "Hello")
    AccountRateLimit.pause("the account has no credit", 60, code="9")

    code, output = status_of(run, "--json")
    found, _ = json.JSONDecoder().raw_decode(output)

    assert code == 1
    assert found["account"]["code"] == "9"
    assert found["texts"]["queued"] == 1
    assert [trouble["id"] for trouble in found["troubles"]] == ["paused"]
    assert found["workers"][0]["is_alive"] is True
    assert found["shortages"]["count"] == 0
    assert found["still_rented"] == {"count": 0, "cost": "0", "of_unknown_cost": 0}


def test_the_status_contains_no_real_number_and_no_text(run, bob, carrier):
    carrier.script = [NOT_ALLOWED]
    queue(bob, SECRET_WORDS)
    Relay().send_due()

    for options in ([], ["--json"]):
        output = status_of(run, *options)[1]
        assert SECRET_WORDS not in output
        assert ALICE not in output
        assert BOB not in output


def test_the_status_names_the_missing_migrations_although_it_cannot_read_the_rest(run, monkeypatch):
    def fail():
        raise ProgrammingError("column x does not exist")

    expected = migrations._of_code() | {("conversations", "9999_of_tomorrow")}
    monkeypatch.setattr(migrations, "_of_code", lambda: expected)
    monkeypatch.setattr(show_status, "collect_status", fail)

    code, output = status_of(run)

    assert code == 1
    assert "conversations.9999_of_tomorrow" in output
    assert "docs/alerts.md#migrations" in output


def test_the_status_is_an_option_of_relay_too(run, bob):
    queue(bob, "Hello")

    code, output = run("relay", "--status")

    assert code == 1
    assert "Start manage.py relay" in output


def test_json_requires_the_status_option(run):
    assert run("relay", "--json")[0] == 2


@pytest.mark.postgres
def test_no_status_query_reads_past_messages(bob, django_assert_max_num_queries):
    forget_statistics()
    # Without this PostgreSQL reads a small table whole, even with an index.
    with connection.cursor() as cursor, django_assert_max_num_queries(30) as captured:
        cursor.execute("SET LOCAL enable_seqscan = off")
        collect_status()
    queries = [query["sql"] for query in captured.captured_queries if "conversations_outboundmessage" in query["sql"]]
    assert queries
    for query in queries:
        if re.search(r"DESC LIMIT \d+$", query):
            continue  # Reads the newest messages, a bounded number.
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {query}")
            plan = "\n".join(row for [row] in cursor.fetchall())
        assert "outbound_" in plan or "confirmation_failed_at" in plan
        assert "Seq Scan on conversations_outboundmessage" not in plan
        assert "outboundmessage_pkey" not in plan
