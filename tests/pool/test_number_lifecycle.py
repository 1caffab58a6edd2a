"""The end of a number: drained, retired, cancelled or lost, and restored."""

import pytest
from django.utils import timezone

from conversations.lifecycle.request import CannotCreate
from conversations.models import Participant
from conversations.worker.periodic_jobs import run_jobs
from numbers.management.exit_codes import ExitCode
from numbers.models import NumberState, VirtualNumber
from smsproxy.states import StaleState
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.builders import ALICE, BOB, add_number, add_numbers, members, proxies, talk
from tests.support.outbox import later
from tests.support.terminal import states

pytestmark = pytest.mark.django_db


@pytest.fixture
def rented(rentals):
    """Return three active numbers, also rented at the carrier."""
    rows = add_numbers(3)
    for row in rows:
        rentals.rent(row.number, inbound_sms_url())
    return [row.number for row in rows]


def test_a_draining_number_retires_with_its_last_pair_and_stays_rented_until_released(
    rentals, rented, run, time_machine, settings
):
    VirtualNumber.objects.exclude(number__in=rented[:2]).update(state=NumberState.QUARANTINED)
    conversation = talk(ALICE, BOB)
    drained = proxies(conversation)[0]
    VirtualNumber.objects.get(number=drained).drain(reason="old", actor="staff")
    run_jobs()
    assert states()[drained] == "draining"
    assert run("release_numbers", drained, "--yes")[0] == ExitCode.PARTIAL

    conversation.close()
    run_jobs()
    assert states()[drained] == "draining"
    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()

    number = VirtualNumber.objects.get(number=drained)
    assert (number.state, number.is_rented, number.live_pair_count) == (NumberState.RETIRED, True, 0)
    assert number.events.first().reason == "drained: no live pairs left"
    assert drained in rentals.account
    assert "1 numbers" not in run("sync_numbers")[1]
    assert run("release_numbers", "--retired", "--yes")[0] == ExitCode.DONE
    assert drained not in rentals.account
    assert not VirtualNumber.objects.get(number=drained).is_rented
    assert "Nothing to do" in run("release_numbers", "--retired")[1]


def test_a_retired_number_that_is_still_rented_cannot_be_a_participant(rentals):
    [number] = add_numbers(1)
    number.retire(reason="test")

    with pytest.raises(CannotCreate, match="one of our own virtual numbers"):
        talk(ALICE, number.number)


def test_a_number_in_use_cannot_be_retired(rentals):
    add_numbers(2)
    number = VirtualNumber.objects.get(number=proxies(talk(ALICE, BOB))[0])

    with pytest.raises(StaleState):
        number.retire(reason="test")


def test_a_number_assigned_since_it_was_read_cannot_be_retired():
    [number] = add_numbers(1)
    talk(ALICE, BOB)
    assert number.live_pair_count == 0

    with pytest.raises(StaleState):
        number.retire(reason="nobody has it")

    assert states()[number.number] == NumberState.ACTIVE


def test_a_wrong_live_pair_count_does_not_block_releases():
    """An older version that runs during an upgrade can create a pair without counting it."""
    add_numbers(2)
    conversation = talk(ALICE, BOB).close()
    wrong = members(conversation)[0].proxy_number
    VirtualNumber.objects.filter(pk=wrong.pk).update(live_pair_count=0)
    Participant.objects.update(release_at=timezone.now())

    run_jobs()

    assert not Participant.objects.unreleased().exists()
    assert set(VirtualNumber.objects.values_list("live_pair_count", flat=True)) == {0}


@pytest.mark.parametrize("before", [NumberState.CONFIGURING, NumberState.ACTIVE, NumberState.DRAINING])
def test_restoring_a_quarantined_number_returns_it_to_its_previous_state(before):
    number = add_number("+447700900500", before)
    number.quarantine(reason="test")

    number.restore(reason="test")

    assert number.state == before


@pytest.mark.parametrize("before", ["configuring", "active"])
@pytest.mark.parametrize("through_quarantine", [True, False])
def test_a_draining_number_returns_to_service_only_as_far_as_it_was(db, before, through_quarantine):
    number = add_number("+447700900500", before)
    if through_quarantine:
        number.quarantine(reason="test")
    number.drain(reason="test")

    number.restore(reason="test")

    assert number.state == before


def test_a_sync_with_fix_removes_lost_numbers_and_configures_the_rest(rentals, rented, run):
    conversation = talk(ALICE, BOB)
    served = proxies(conversation)[0]
    unserved = next(number for number in rented if number not in proxies(conversation))
    repointed = proxies(conversation)[1]
    for gone in (served, unserved):
        del rentals.account[gone]
    rentals.rent(repointed, "https://elsewhere.example.com/sms")
    rentals.rent("+447700900799", "")

    code, output = run("sync_numbers", "--fix")

    assert code == ExitCode.DRIFT  # One number still needs an operator.
    assert f"manage.py replace_number {served}" in output
    assert states() == {served: "quarantined", unserved: "retired", repointed: "active", "+447700900799": "active"}
    assert rentals.reaching_us() == {repointed, "+447700900799"}
    assert not VirtualNumber.objects.filter(number__in=[served, unserved], is_rented=True).exists()
    with pytest.raises(StaleState):
        VirtualNumber.objects.get(number=served).restore(reason="test")

    # It retires with its last pair.
    conversation.close()
    Participant.objects.update(release_at=timezone.now())
    run_jobs()
    assert states()[served] == "retired"
    assert run("sync_numbers", "--fix")[0] == ExitCode.DONE


def test_a_number_missing_from_the_list_is_looked_up_before_it_is_retired(rentals, rented, run, monkeypatch):
    whole = rentals.owned
    monkeypatch.setattr(rentals, "owned", lambda number="": whole(number) if number else iter([]))

    run("sync_numbers", "--fix")

    assert set(states().values()) == {"active"}


def test_a_sync_with_the_wrong_account_takes_no_number_out_of_service(rentals, rented, run):
    rentals.account.clear()
    rentals.rent("+447700900799", inbound_sms_url())

    code, output = run("sync_numbers", "--fix")

    assert code == ExitCode.DRIFT
    assert "is this the right account?" in output
    assert set(states().values()) == {"active"}


def test_a_sync_with_fix_corrects_live_pair_counts(rentals, rented, run):
    served = proxies(talk(ALICE, BOB))[0]
    VirtualNumber.objects.filter(number=served).update(live_pair_count=7)

    code, output = run("sync_numbers", "--fix")

    assert code == ExitCode.DONE
    assert f"{served}    miscounted: it has 1 live pairs" in output
    assert VirtualNumber.objects.get(number=served).live_pair_count == 1
    assert "no difference" in run("sync_numbers", "--fix")[1]
