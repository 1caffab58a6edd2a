"""The health of a number follows from the receipts of the last hours, since it was restored."""

from django.utils import timezone

from numbers.health import measure
from tests.support.number_health import LEAST, WINDOW, quarantined, receipts
from tests.support.outbox import later


def test_receipts_older_than_the_window_do_not_count(numbers, time_machine):
    bad, good, _ = numbers
    receipts(bad, lost=LEAST)
    later(time_machine, WINDOW + 60)
    receipts(bad, delivered=LEAST)
    receipts(good, delivered=LEAST)

    assert quarantined() == []
    assert {(each.sent, each.lost) for each in measure()} == {(LEAST, 0)}


def test_receipts_within_the_window_are_added_up(numbers, time_machine):
    bad, good, _ = numbers
    receipts(bad, lost=LEAST // 2)
    later(time_machine, WINDOW - 60)
    receipts(bad, lost=LEAST // 2)
    receipts(good, delivered=LEAST)

    assert quarantined() == [bad]


def test_a_window_of_0_disables_the_health_check(numbers, settings, time_machine):
    settings.HEALTH_WINDOW_SECONDS = 0
    time_machine.move_to(timezone.now(), tick=False)
    bad, good, _ = numbers
    receipts(bad, lost=LEAST)
    receipts(good, delivered=LEAST)

    assert quarantined() == []


def test_a_restored_number_is_judged_only_by_later_receipts(numbers, time_machine):
    bad, good, _ = numbers
    receipts(bad, lost=LEAST)
    receipts(good, delivered=LEAST)
    assert quarantined() == [bad]
    later(time_machine, 60)
    quarantined()[0].restore(reason="by staff")

    assert quarantined() == []
    later(time_machine, 60)
    receipts(bad, lost=LEAST - 1)
    assert quarantined() == []
    receipts(bad, lost=1)
    assert quarantined() == [bad]


def test_a_reconfigured_number_is_judged_by_the_whole_window(numbers, time_machine):
    """A new configuration is an event without a change of state."""
    bad, good, _ = numbers
    receipts(bad, lost=LEAST)
    receipts(good, delivered=LEAST)
    later(time_machine, 60)
    bad.record_event(bad.state, old_state=bad.state, reason="pointed at our webhook")

    assert quarantined() == [bad]


def test_failures_of_a_restored_number_do_not_hide_another_outlier(numbers, time_machine):
    """Otherwise the whole network would seem to fail, and the failing number would go unnoticed."""
    restored, bad, good = numbers
    receipts(restored, lost=500)
    restored.quarantine(reason="for the test")
    later(time_machine, 60)
    restored.restore(reason="by staff")
    receipts(bad, lost=LEAST)
    receipts(good, delivered=LEAST)

    assert quarantined() == [bad]
