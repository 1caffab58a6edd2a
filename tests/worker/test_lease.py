"""The lease of the periodic jobs: one worker has it, and another takes over."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from conversations.models import JobLease
from conversations.worker import periodic_jobs
from conversations.worker.lease import LEASE, Lease
from conversations.worker.periodic_jobs import run_jobs
from tests.support.concurrency import at_once

# SQLite has one worker, which needs no lease.
pytestmark = pytest.mark.postgres


@pytest.mark.django_db(transaction=True)
def test_one_of_many_workers_that_start_at_once_gets_the_lease_and_keeps_it():
    leases = [Lease() for _ in range(8)]

    first = at_once(8, lambda index: leases[index].is_held())
    again = at_once(8, lambda index: leases[index].is_held())

    assert sum(first) == 1
    assert first == again


@pytest.mark.django_db
def test_a_worker_that_stops_hands_over_at_once_and_a_killed_one_when_its_lease_ends():
    stopped, killed, other = Lease(), Lease(), Lease()
    assert stopped.is_held()
    stopped.give_back()

    assert killed.is_held()
    assert not other.is_held()
    with time_machine.travel(timezone.now() + timedelta(seconds=LEASE + 1)):
        assert other.is_held()


@pytest.mark.django_db
def test_a_worker_that_wakes_after_its_lease_was_taken_runs_no_further_job(monkeypatch):
    ran = []

    def slow_job():
        """Another worker takes over while this job runs."""
        ran.append("slow")
        JobLease.objects.update(holder="another", expires_at=timezone.now() + timedelta(hours=1))
        return 0

    def next_job():
        ran.append("next")
        return 0

    monkeypatch.setattr("conversations.worker.lease.RENEW_EVERY", 0.0)
    monkeypatch.setattr(periodic_jobs, "JOBS", [slow_job, next_job])

    run_jobs()

    assert ran == ["slow"]
    assert JobLease.objects.get().holder == "another"
