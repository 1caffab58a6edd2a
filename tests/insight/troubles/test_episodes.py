"""A trouble has one beginning and one end, however many processes look."""

import logging
from datetime import timedelta

import pytest

from conversations.insight.collect_status import collect_status
from conversations.insight.troubles import current
from conversations.insight.troubles.kinds import Trouble
from conversations.models import AccountRateLimit, TroubleEpisode
from conversations.models.trouble_episode import FORGOTTEN_AFTER
from conversations.worker import periodic_jobs
from tests.support.concurrency import at_once
from tests.support.outbox import later

pytestmark = pytest.mark.django_db


@pytest.fixture
def paused(db):
    AccountRateLimit.pause("the account has no credit", 60, code="9")


def look():
    return current.note(collect_status())


def test_the_beginning_stays_while_the_trouble_lasts(paused, time_machine):
    [first] = look()
    later(time_machine, 3600)

    [still] = look()

    assert still.since == first.since
    assert TroubleEpisode.objects.get().confirmed_at > first.since + timedelta(minutes=59)


def test_a_trouble_that_comes_again_has_a_second_episode(paused, time_machine):
    look()
    AccountRateLimit.resume("for the test")
    look()
    AccountRateLimit.pause("the account has no credit", 60, code="9")
    look()

    assert [episode.ended_at is None for episode in TroubleEpisode.objects.order_by("pk")] == [False, True]


def test_the_sentence_follows_what_is_wrong(paused):
    look()
    AccountRateLimit.objects.update(pause_reason="the credentials are wrong")
    look()

    assert "the credentials are wrong" in TroubleEpisode.objects.get().sentence


def test_a_status_that_only_reads_stores_nothing(paused, run, caplog):
    assert run("status")[0] == 1

    assert not TroubleEpisode.objects.exists()
    assert caplog.records == []


def test_an_older_version_does_not_end_a_trouble_that_it_does_not_know(paused, time_machine):
    look()
    TroubleEpisode.objects.update(version="9.0.0")
    AccountRateLimit.resume("for the test")
    look()
    assert TroubleEpisode.objects.get().ended_at is None

    later(time_machine, FORGOTTEN_AFTER.total_seconds() + 1)
    look()

    assert TroubleEpisode.objects.get().ended_at is not None


def test_workers_note_troubles_by_themselves(paused, caplog):
    periodic_jobs.note_troubles()

    assert TroubleEpisode.objects.get().kind == Trouble.PAUSED
    assert caplog.records[0].levelno == logging.ERROR


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_one_of_many_processes_stores_and_logs_the_beginning_and_the_end(paused, caplog):
    caplog.set_level(logging.WARNING)

    at_once(8, lambda _: look())
    assert TroubleEpisode.objects.count() == 1
    AccountRateLimit.resume("for the test")
    at_once(8, lambda _: look())

    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("trouble")]
    assert len(lines) == 2
    assert "began" in lines[0]
    assert "ended" in lines[1]


def test_old_episodes_are_deleted_and_active_ones_never(paused, time_machine):
    look()
    TroubleEpisode.objects.create(
        kind="clock", sentence="", version="1", began_at=collect_status().at, confirmed_at=collect_status().at,
        ended_at=collect_status().at,
    )  # fmt: skip
    later(time_machine, periodic_jobs.EPISODES_KEPT.total_seconds() + 60)

    assert periodic_jobs.purge_trouble_episodes() == 1
    assert TroubleEpisode.objects.get().kind == Trouble.PAUSED
