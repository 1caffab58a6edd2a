"""Retention times that would delete what is still needed are rejected at the start."""

import pytest

from tests.support.settings_file import read_settings, start

DAY = 24 * 3600


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        # A repeat of three days and an hour, a day and a minute to send, and the window of long messages.
        ("MESSAGE_RETENTION_SECONDS", 73 * 3600 + DAY + 60 + 180 + 600),
        ("EVENT_RETENTION_SECONDS", 31 * DAY),
    ],
)
def test_a_time_that_is_too_short_is_rejected_with_what_it_needs(name, needed):
    code, output = start(**{name: f"{needed}"})

    assert code != 0
    assert f"{name}: expected 0, or more than " in output
    assert f"({needed} seconds), found {needed}" in output
    assert start(**{name: f"{needed + 1}"})[0] == 0


@pytest.mark.parametrize("name", ["MESSAGE_RETENTION_SECONDS", "EVENT_RETENTION_SECONDS"])
def test_a_time_covers_the_health_window_and_late_webhooks(name):
    assert start(**{name: f"{40 * DAY}", "HEALTH_WINDOW_SECONDS": f"{41 * DAY}"})[0] != 0
    late = {"WEBHOOK_MAX_AGE_SECONDS": f"{40 * DAY}", "COOL_DOWN_SECONDS": f"{50 * DAY}"}
    assert start(**{name: f"{40 * DAY}", **late})[0] != 0


def test_messages_are_kept_for_three_days_even_if_webhooks_may_be_younger_only():
    """The carrier may sign a repeat with a new time."""
    changes = {"WEBHOOK_MAX_AGE_SECONDS": "300", "MESSAGE_RETENTION_SECONDS": f"{3 * DAY}"}

    assert start(**changes)[0] != 0


def test_messages_are_kept_for_a_year_and_events_for_90_days_by_default():
    settings = read_settings()

    assert settings["MESSAGE_RETENTION_SECONDS"] == 365 * DAY
    assert settings["EVENT_RETENTION_SECONDS"] == 90 * DAY


@pytest.mark.parametrize("name", ["MESSAGE_RETENTION_SECONDS", "EVENT_RETENTION_SECONDS"])
def test_zero_keeps_rows_for_ever(name):
    assert start(**{name: "0"})[0] == 0
