"""A model of the rules of delivery, which runs beside the product and checks each step.

Up to three workers run step by step: claim, call the carrier, record the answer. Each worker can stall or be killed
between any two steps.
"""

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from conversations.delivery import outbox
from conversations.delivery.receipts import receive_receipt
from conversations.delivery.relay import Relay
from conversations.models import AccountEvent, AccountRateLimit, OutboundMessage
from conversations.models.gcra import BURST_SECONDS
from conversations.models.outbound import MAX_RESENDS
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.carriers.base import (
    CarrierRejected,
    OutcomeUnknown,
    Receipt,
    SendReply,
    SentPart,
)
from smsproxy.states import StaleState
from tests.support.delivery_steps import ACCOUNT_WAITS, ANSWERS, LINE, NUMBER_WAITS, STEP, WORKERS

NUMBER_RATE, ACCOUNT_RATE = 20, 20
MAX_AGE, SEND_LEASE_SECONDS, UNKNOWN_OUTCOME_TIMEOUT_SECONDS = 2500, 60, 60
FINAL = {"sent", "delivered", "undelivered", "failed", "cancelled"}
MOMENT = timedelta(milliseconds=1)  # Tolerance for rounding.


@dataclass
class Call:
    """One attempt as the carrier sees it, even if the engine never learns of it. parts: carrier ids, if accepted."""

    answer: str
    parts: list[str] = field(default_factory=list)
    is_over: bool = False
    """The engine knows that the call failed, or a person or the policy has decided to resend the message."""


@dataclass
class Text:
    number: int
    line: int
    calls: dict[int, Call] = field(default_factory=dict)
    resent_by_staff: bool = False

    @property
    def has_arrived(self):
        return any(call.parts for call in self.calls.values())


@dataclass(eq=False)
class Worker:
    relay: Relay = field(default_factory=Relay)
    claimed: list = field(default_factory=list)
    answers: list = field(default_factory=list)


class Delivery(RuleBasedStateMachine):
    # Set by the test.
    people: Any
    carrier: Any
    settings: Any

    def __init__(self):
        super().__init__()
        self.texts: dict[int, Text] = {}
        self.workers = [Worker() for _ in range(WORKERS)]
        self.first_arrivals: list[list[int]] = [[] for _ in self.people]
        self.leases: dict[tuple[int, int], datetime] = {}
        self.echoes: dict[str, bool] = {}
        self.number_claims: dict[int, list] = {}
        self.account_claims: list = []
        self.number_waits_until: dict[int, datetime] = {}
        self.account_waits_until = self.now_is(datetime(2030, 1, 1, tzinfo=UTC))
        self.probe_until = self.account_waits_until
        self.end_with_a_crash = False
        self.example = transaction.atomic()
        self.example.__enter__()

    def now_is(self, moment):
        self.clock = time_machine.travel(moment, tick=False)
        self.traveller = self.clock.start()
        return moment

    @initialize(
        policy=st.sampled_from(["hold", "resend"]),
        lines=st.lists(LINE, min_size=4, max_size=8),
        end_with_a_crash=st.booleans(),
    )
    def begin(self, policy, lines, end_with_a_crash):
        self.settings.UNKNOWN_OUTCOME_POLICY = policy
        self.end_with_a_crash = end_with_a_crash
        self.queue(lines, long=False)

    # Steps -----------------------------------------------------------------------------------------------------------

    @rule(step=STEP)
    def go_on(self, step):
        """Run one step. This is a single rule, because Hypothesis would skip most of several rules in most examples."""
        name, *arguments = step
        getattr(self, name)(*arguments)

    def queue(self, lines, long):
        for line in lines:
            person = self.people[line]
            message = outbox.queue_notice(person, "x" * (200 if long else 5))
            self.texts[message.pk] = Text(number=person.proxy_number_id, line=line)

    def work(self, worker, answers, until):
        """Run all three steps, or only the first ones, like a worker that stalls or dies."""
        self.claim(worker, 4)
        worker = self.workers[worker]
        if until != "the claim":
            for claimed, answer in zip(list(worker.claimed), answers, strict=False):
                self.call_for(worker, claimed, answer)
        if until == "the end":
            self.record_of(worker, len(worker.answers))

    def claim(self, worker, limit):
        now, account = timezone.now(), AccountRateLimit.load()
        rows = {row.pk: row for row in OutboundMessage.objects.defer("text")}
        taken, _ = self.workers[worker].relay._claim(limit)
        claimed = [each.message for each in taken]

        assert len(claimed) <= limit
        lines = [self.texts[message.pk].line for message in claimed]
        assert len(set(lines)) == len(lines), "two of a line at once"
        if claimed:
            assert now >= self.account_waits_until, "the account was to wait"
        if account.is_paused and claimed:
            assert len(claimed) == 1, "a paused account lets one text try"
            assert now >= self.probe_until, "one probe at a time"
            self.probe_until = now + timedelta(seconds=SEND_LEASE_SECONDS)
        for message in claimed:
            text = self.texts[message.pk]
            self.leases[message.pk, message.attempts] = now + timedelta(seconds=SEND_LEASE_SECONDS)
            assert rows[message.pk].state == "queued"
            assert now >= self.number_waits_until.get(text.number, now), "the number was to wait"
            for pk, earlier in self.texts.items():
                if pk < message.pk and earlier.line == text.line:
                    assert self.may_be_overtaken(rows[pk], now), "an earlier one of its line may still go"
            self.keep_rate(self.number_claims.setdefault(text.number, []), message.segments, NUMBER_RATE, now)
            self.keep_rate(self.account_claims, 1, ACCOUNT_RATE, now)
        self.workers[worker].claimed += taken

    def call(self, which, answer):
        worker, claimed = self.pick(which, "claimed")
        if worker:
            self.call_for(worker, claimed, answer)

    def call_for(self, worker, claimed, answer):
        worker.claimed.remove(claimed)
        message = claimed.message
        text, call = self.texts[message.pk], Call(answer)
        self.carrier.sent.clear()
        self.carrier.script = [self.scripted(call, message)]
        worker.relay._send(claimed)
        result = worker.relay._results.get()
        worker.answers.append((result, call))
        if not self.carrier.sent:
            assert result.is_ours
            return

        [outgoing] = self.carrier.sent
        assert outgoing.client_ref == f"{message.client_ref}.{message.attempts}"
        assert message.attempts not in text.calls, "an attempt is one call"
        assert all(earlier.is_over for earlier in text.calls.values()), "sent again blindly"
        end = timezone.now() + timedelta(seconds=self.settings.CARRIER_TIMEOUT_SECONDS)
        assert end <= self.leases[message.pk, message.attempts], "the call may outlast its lease"
        assert timezone.now() - message.created_at <= timedelta(seconds=MAX_AGE), "too old to be sent"
        was_there_before = text.has_arrived
        text.calls[message.attempts] = call
        if call.parts and not was_there_before:
            arrivals = self.first_arrivals[text.line]
            # A message that was left to staff has lost its place in the line.
            assert text.resent_by_staff or not arrivals or arrivals[-1] < message.pk, "out of order"
            arrivals.append(max([message.pk, *arrivals[-1:]]))

    def record(self, which, all_at_once):
        worker, _ = self.pick(which, "answers")
        if worker:
            self.record_of(worker, len(worker.answers) if all_at_once else 1)

    def record_of(self, worker, count):
        recorded, worker.answers = worker.answers[:count], worker.answers[count:]
        before, now = AccountRateLimit.load(), timezone.now()
        changes_before = AccountEvent.objects.count()
        given_up = {row.pk for row in OutboundMessage.objects.filter(state="unknown", due_at__lte=now)}
        for result, _ in recorded:
            worker.relay._results.put(result)
        worker.relay._in_flight = len(recorded)
        worker.relay._record_results()

        assert not worker.relay._unrecorded
        back = OutboundMessage.objects.filter(pk__in=given_up, state="queued")
        assert not back.exists(), "its line has gone on, and it comes back by itself"
        account = AccountRateLimit.load()
        for result, call in recorded:
            text = self.texts[result.message.pk]
            if not result.is_ours and isinstance(ANSWERS.get(call.answer), CarrierRejected):
                call.is_over = True
            if not result.is_ours and call.answer in NUMBER_WAITS:
                until = now + timedelta(seconds=NUMBER_WAITS[call.answer]) - MOMENT
                self.number_waits_until[text.number] = max(until, self.number_waits_until.get(text.number, until))
            if before.is_paused and result.message.carrier_ref == before.probe:
                self.probe_until = now
        if AccountEvent.objects.count() > changes_before:
            # After a pause the rate limit is reset, which forgives at most a tenth of a second spent ahead.
            self.account_claims.clear()
        if not account.is_paused:
            self.account_waits_until = self.probe_until = now
        if len(recorded) == 1 and not recorded[0][0].is_ours and recorded[0][1].answer in ACCOUNT_WAITS:
            [(result, call)] = recorded
            assert account.is_paused
            if not before.is_paused or result.message.carrier_ref == before.probe:
                self.account_waits_until = now + timedelta(seconds=ACCOUNT_WAITS[call.answer]) - MOMENT

    def kill(self, which):
        busy = [worker for worker in self.workers if worker.claimed or worker.answers]
        if busy:
            self.workers[self.workers.index(busy[which % len(busy)])] = Worker()

    def sweep(self):
        now = timezone.now()
        before = {row.pk: row for row in OutboundMessage.objects.defer("text")}
        run_jobs()
        for after in OutboundMessage.objects.defer("text"):
            row = before[after.pk]
            if row.state == "sending" and after.state != "sending":
                assert row.lease_until
                assert now >= row.lease_until
            if row.state == "unknown" and after.state == "queued":
                assert self.settings.UNKNOWN_OUTCOME_POLICY == "resend"
                assert now >= row.due_at
                assert after.resends == row.resends + 1 <= MAX_RESENDS
                self.is_sent_again(after.pk)

    def wait(self, seconds):
        self.traveller.move_to(timezone.now() + timedelta(seconds=seconds))

    def receipt(self, which, part, status, by_ref):
        calls = [(pk, *each) for pk, text in self.texts.items() for each in text.calls.items() if each[1].parts]
        in_doubt = set(OutboundMessage.objects.filter(state="unknown").values_list("pk", flat=True))
        calls = [each for each in calls if each[0] in in_doubt] or calls
        if not calls:
            return
        pk, attempt, call = calls[which % len(calls)]
        row = OutboundMessage.objects.get(pk=pk)
        part_id = call.parts[part % len(call.parts)]
        by_ref = self.echoes.setdefault(part_id, by_ref)  # A repeated receipt has exactly the same fields.
        receive_receipt(
            Receipt(
                carrier_message_id=part_id,
                client_ref=f"{row.client_ref}.{attempt}" if by_ref else "",
                status=status,
            )
        )
        if by_ref and row.state == "unknown":
            assert OutboundMessage.objects.get(pk=pk).state in FINAL, "a receipt settles it"

    def staff_decide(self, which, again):
        rows = list(OutboundMessage.objects.filter(state="unknown").order_by("pk"))
        if not rows:
            return
        row = rows[which % len(rows)]
        if not again:
            row.cancel(reason="dropped", actor="sam")
        elif timezone.now() - row.created_at <= timedelta(seconds=MAX_AGE):
            row.resend(reason="again", actor="sam")
            self.texts[row.pk].resent_by_staff = True
            self.is_sent_again(row.pk)
        else:
            with pytest.raises(StaleState):
                row.resend(reason="again", actor="sam")

    def staff_resume(self):
        if AccountRateLimit.resume("paid the bill", actor="sam"):
            self.account_waits_until = self.probe_until = timezone.now()
            self.account_claims.clear()

    # Invariants ------------------------------------------------------------------------------------------------------

    def may_be_overtaken(self, row, now):
        """Return whether later messages of the line may pass this one: it is final, or left to staff."""
        if row.state != "unknown":
            return row.state in FINAL
        if self.settings.UNKNOWN_OUTCOME_POLICY == "resend" and row.resends < MAX_RESENDS:
            return row.created_at <= now - timedelta(seconds=MAX_AGE)
        return row.events.first().created_at <= now - timedelta(seconds=UNKNOWN_OUTCOME_TIMEOUT_SECONDS)

    def keep_rate(self, claims, cost, rate, now):
        """Check that no window that ends now exceeds the rate, starting from any earlier claim."""
        spent, caught_up = 0, max(0, BURST_SECONDS - 1 / rate)
        for at, earlier_cost in reversed(claims):
            spent += earlier_cost
            assert spent <= rate * (caught_up + (now - at + MOMENT).total_seconds()), "faster than its rate"
        claims.append((now, cost))

    def check_history(self, row):
        events = [(event.old_state, event.new_state) for event in reversed(row.events.all())]
        assert events[0] == ("", "queued")
        assert events[-1][1] == row.state
        for (_, reached), (left, to) in pairwise(events):
            assert left == reached
            assert to in row.ALLOWED[left]

    def is_settled(self, row):
        if row.state == "unknown":
            is_held = self.settings.UNKNOWN_OUTCOME_POLICY == "hold" or row.resends == MAX_RESENDS
            return is_held or row.is_too_old(timezone.now())
        return row.state in FINAL

    def check_end(self, row):
        text = self.texts[row.pk]
        is_too_old = row.is_too_old(timezone.now())
        assert self.is_settled(row), "it is stuck"
        if row.state in ("sent", "delivered", "undelivered"):
            assert text.has_arrived, "lost"
        if row.state == "failed":
            assert is_too_old or any(call.answer == "refused" for call in text.calls.values()), "given up"

    def teardown(self):
        try:
            if sys.exc_info()[0] is None:
                self.let_everything_end()
        finally:
            self.example.__exit__(ValueError, None, None)  # Rolls back.
            self.clock.stop()

    def let_everything_end(self):
        """Let the carrier accept everything and time pass, then check every message."""
        if self.end_with_a_crash:
            self.workers = [Worker() for _ in range(WORKERS)]
        for _ in range(6):
            if all(map(self.is_settled, OutboundMessage.objects.defer("text"))):
                break
            self.wait(301)
            self.sweep()
            self.wait(61)
            while any(worker.claimed or worker.answers for worker in self.workers) or self.claims_more():
                while any(worker.claimed for worker in self.workers):
                    self.call(0, "accepted")
                while any(worker.answers for worker in self.workers):
                    self.record(0, all_at_once=True)
        for row in OutboundMessage.objects.defer("text").prefetch_related("events"):
            self.check_end(row)
            self.check_history(row)
        for earlier, event in pairwise(AccountRateLimit.load().events.order_by("id")):
            assert event.old_state == earlier.new_state

    def claims_more(self):
        self.wait(1)
        self.claim(0, 4)
        return bool(self.workers[0].claimed)

    # Helpers ---------------------------------------------------------------------------------------------------------

    def pick(self, which, what):
        """Return a worker and one of its claimed messages or answers, or (None, None)."""
        choices = [(worker, each) for worker in self.workers for each in getattr(worker, what)]
        return choices[which % len(choices)] if choices else (None, None)

    def is_sent_again(self, pk):
        for call in self.texts[pk].calls.values():
            call.is_over = True

    def scripted(self, call, message):
        if call.answer in ANSWERS:
            return ANSWERS[call.answer]

        def accept(text):
            count = 1 if len(text.text) < 160 else 2
            call.parts = [f"{text.client_ref}-{part}" for part in range(count)]
            if call.answer == "accepted, but the answer is lost":
                raise OutcomeUnknown("no answer")
            parts = [SentPart(carrier_message_id=part) for part in call.parts]
            if call.answer == "accepted in part":
                parts.append(SentPart(carrier_message_id="", error_code="5"))
            return SendReply(parts=tuple(parts))

        return accept
