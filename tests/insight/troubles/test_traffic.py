"""What counts as refused, silent, lost or low, and what does not."""

from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.insight.troubles.kinds import Trouble
from conversations.insight.troubles.processes import RESTARTS_WITHIN
from conversations.insight.troubles.traffic import MIN_REFUSED, MIN_SILENCE, REFUSED_WITHIN
from conversations.models import InboundMessage, JobLease, OutboundMessage, RejectedWebhook, WebhookWatch, Worker
from conversations.models.webhook_watch import USUAL_DAYS
from conversations.webhooks import rejected
from conversations.worker.periodic_jobs import forget_dead_workers
from numbers.assignment.level import measure_levels
from numbers.models import PoolLevel, TopUp, VirtualNumber
from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.outbox import later, queue
from tests.support.troubles import active_troubles

FORM = "application/x-www-form-urlencoded"

pytestmark = pytest.mark.django_db


def accept(name="1"):
    InboundMessage.objects.create(carrier_message_id=name, outcome="no_route")


def refuse(how_many):
    RejectedWebhook.objects.add("inbound-sms", "wrong", how_many)


def look():
    WebhookWatch.objects.look(at=timezone.now())
    return active_troubles()


class TestRefusedWebhooks:
    def test_a_scanner_s_few_are_no_trouble(self):
        look()
        refuse(MIN_REFUSED - 1)

        assert Trouble.WEBHOOKS_REFUSED not in look()

    def test_however_many_a_scanner_sends_they_are_none(self, client):
        look()
        for _ in range(MIN_REFUSED):
            assert client.post("/webhooks/vonage/inbound-sms", "x=1", FORM).status_code == 401
        rejected._write_at_exit()

        assert Trouble.WEBHOOKS_REFUSED not in look()
        assert RejectedWebhook.objects.get().reason == "stray"

    def test_their_count_and_reason_are_told(self):
        look()
        refuse(235)

        assert "inbound-sms: 235 (wrong)" in look()[Trouble.WEBHOOKS_REFUSED]

    def test_those_before_the_last_accepted_one_do_not_count(self):
        look()
        refuse(235)
        look()
        accept()
        assert Trouble.WEBHOOKS_REFUSED not in look()

        refuse(MIN_REFUSED - 1)
        assert Trouble.WEBHOOKS_REFUSED not in look()

        refuse(1)
        assert Trouble.WEBHOOKS_REFUSED in look()

    def test_old_ones_are_forgotten(self, time_machine):
        look()
        refuse(235)
        look()
        later(time_machine, REFUSED_WITHIN.total_seconds() + 1)

        assert Trouble.WEBHOOKS_REFUSED not in look()

    def test_counts_that_retention_deletes_do_not_hide_new_ones(self):
        look()
        refuse(1000)
        accept()
        look()
        RejectedWebhook.objects.all().delete()
        look()
        refuse(MIN_REFUSED)

        assert Trouble.WEBHOOKS_REFUSED in look()


class TestSilence:
    def days(self, time_machine, count, gap):
        for day in range(count):
            accept(f"{day} first")
            look()
            later(time_machine, gap)
            accept(f"{day} second")
            look()
            later(time_machine, 86400 - gap)

    def test_it_needs_three_days_of_experience(self, time_machine):
        self.days(time_machine, 2, 60)
        later(time_machine, 10 * 86400)

        assert Trouble.WEBHOOKS_SILENT not in look()

    def test_twice_the_longest_gap_of_the_last_days_is_usual(self, time_machine):
        self.days(time_machine, 4, 60)  # The nights are the longest: a day less a minute.
        later(time_machine, 86400 - 600)
        assert Trouble.WEBHOOKS_SILENT not in look()

        later(time_machine, 1200)
        assert Trouble.WEBHOOKS_SILENT in look()

    def test_a_short_silence_is_never_a_trouble(self, time_machine):
        WebhookWatch.objects.create(
            endpoint="inbound-sms",
            accepted_at=timezone.now(),
            gaps={f"2026-11-2{day}": 1.0 for day in range(USUAL_DAYS)},
        )
        later(time_machine, MIN_SILENCE.total_seconds() - 60)
        assert Trouble.WEBHOOKS_SILENT not in active_troubles()

        later(time_machine, 120)
        assert Trouble.WEBHOOKS_SILENT in active_troubles()

    def test_only_the_gaps_of_the_last_days_are_kept(self, time_machine):
        self.days(time_machine, USUAL_DAYS + 4, 60)

        assert len(WebhookWatch.objects.get(endpoint="inbound-sms").gaps) <= USUAL_DAYS + 1


class TestLostMessages:
    def settle(self, bob, delivered, lost):
        for message, state in zip(
            queue(bob, *["text"] * (delivered + lost)), ["delivered"] * delivered + ["failed"] * lost, strict=True
        ):
            OutboundMessage.objects.filter(pk=message.pk).update(state=state)

    @pytest.mark.parametrize(("delivered", "lost", "is_trouble"), [(7, 3, True), (8, 2, False), (0, 9, False)])
    def test_a_share_above_the_limit_of_enough_messages_is_a_trouble(self, bob, settings, delivered, lost, is_trouble):
        settings.HEALTH_MIN_RECEIPTS, settings.HEALTH_MAX_FAILURE_PERCENT = 10, 30
        self.settle(bob, delivered, lost)

        assert (Trouble.UNDELIVERED in active_troubles()) is is_trouble

    def test_an_hour_later_it_is_over(self, bob, settings, time_machine):
        settings.HEALTH_MIN_RECEIPTS = 5
        self.settle(bob, 0, 5)
        later(time_machine, 3601)

        assert Trouble.UNDELIVERED not in active_troubles()


class TestLevelOfThePool:
    def test_a_pool_is_low_if_its_busiest_person_can_begin_no_more_conversations(self, db):
        add_numbers(2)
        talk(ALICE, BOB)
        assert measure_levels() == 0

        talk(ALICE, "+447700900003")

        assert measure_levels() == 1
        assert "0 free for the busiest person" in active_troubles()[Trouble.POOL_LOW]

    def test_the_threshold_of_a_top_up_counts_if_there_is_one(self, db):
        add_numbers(4)
        TopUp.objects.create(country="GB", low_threshold=5, target=6, monthly_budget=9, max_monthly_cost=2)

        assert measure_levels() == 1
        assert PoolLevel.objects.get().least == 5

    def test_a_country_whose_numbers_are_released_has_no_level(self, db):
        add_numbers(2)
        measure_levels()
        VirtualNumber.objects.update(state="retired", is_rented=False)

        assert measure_levels() == 0
        assert not PoolLevel.objects.exists()


class TestWorkersThatAreGone:
    def silent(self, name, minutes=2, started=60):
        now = timezone.now()
        began, silent_since = (now - timedelta(minutes=each) for each in (started, minutes))
        Worker.objects.create(name=name, concurrency=20, started_at=began, seen_at=silent_since)

    def alive(self, name, minutes):
        Worker.objects.create(
            name=name, concurrency=20, started_at=timezone.now() - timedelta(minutes=minutes), seen_at=timezone.now()
        )

    def test_two_deaths_and_one_restart_leave_one_gone(self):
        self.silent("host-a, process 1", 3)
        self.silent("host-b, process 1", 2)
        self.alive("host-a, process 2", 1)

        assert "signing off: 1. host-b" in active_troubles()[Trouble.WORKER_GONE]

    def test_a_worker_that_was_there_before_replaces_nobody(self):
        self.silent("host-a, process 1")
        self.alive("host-b, process 1", 60)

        assert Trouble.WORKER_GONE in active_troubles()

    def test_a_replacement_that_is_killed_too_needs_one_replacement_and_not_two(self):
        self.silent("host-a, process 1", 30)
        self.silent("host-a, process 2", 2, started=20)
        self.alive("host-a, process 3", 1)

        assert Trouble.WORKER_GONE not in active_troubles()

    def test_workers_started_before_a_death_do_not_replace_it(self):
        self.silent("host-a, process 1", 30)
        self.alive("host-a, process 2", 20)
        self.alive("host-b, process 1", 20)
        self.silent("host-c, process 1", 2, started=20)

        assert "host-c" in active_troubles()[Trouble.WORKER_GONE]

    def test_a_replaced_worker_is_forgotten_so_that_later_stops_raise_no_alarm(self):
        self.silent("host-a, process 1", 30)
        self.alive("host-b, process 1", 60)
        assert forget_dead_workers() == 0
        self.alive("host-a, process 2", 1)
        assert forget_dead_workers() == 1

        Worker.objects.get(name="host-a, process 2").delete()  # It signs off.

        assert Trouble.WORKER_GONE not in active_troubles()

    def test_without_any_worker_the_critical_trouble_says_it(self, bob):
        self.silent("host-a, process 1")
        queue(bob, "Hello")

        assert Trouble.NO_WORKER in active_troubles()
        assert Trouble.WORKER_GONE not in active_troubles()

    def test_a_restart_of_the_only_worker_is_no_trouble(self, bob, time_machine):
        queue(bob, "Hello")
        JobLease.objects.take("periodic jobs", "host-a", 0)  # It ran jobs just before it signed off.
        assert Trouble.NO_WORKER not in active_troubles()

        later(time_machine, RESTARTS_WITHIN.total_seconds() + 1)
        assert Trouble.NO_WORKER in active_troubles()
