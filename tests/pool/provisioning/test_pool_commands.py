"""The other pool commands, run by an operator and by a script."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from conversations.models import Conversation, OutboundMessage, OutboundState, Participant
from conversations.worker.periodic_jobs import run_jobs
from numbers.management.exit_codes import ExitCode
from numbers.models import NumberState, RealNumber, VirtualNumber
from numbers.provisioning.release import CannotRelease, release
from smsproxy.carriers.base import OutcomeUnknown, PermanentFailure
from smsproxy.states import StaleState
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.builders import ALICE, BOB, add_number, add_numbers, proxies, talk
from tests.support.concurrency import wait_for_a_lock
from tests.support.fake_rental_carrier import LOST
from tests.support.terminal import TWO, states

pytestmark = pytest.mark.django_db


# Configuring ----------------------------------------------------------------------------------------------------------


def test_all_numbers_can_be_pointed_at_a_new_public_url(rentals, run, settings):
    run(*TWO, "--yes")
    settings.PUBLIC_URL = "https://new.example.com"
    assert rentals.reaching_us() == set()

    code, _ = run("configure_numbers", "--all")

    assert code == ExitCode.DONE
    assert rentals.reaching_us() == set(rentals.account)
    assert set(VirtualNumber.objects.values_list("webhook_url", flat=True)) == {inbound_sms_url()}
    assert states() == dict.fromkeys(rentals.account, "active")
    assert "new.example.com" in VirtualNumber.objects.all()[0].events.all()[0].reason


def test_numbers_that_cannot_be_configured_are_counted(rentals, run):
    for each in add_numbers(2):
        each.transition(NumberState.CONFIGURING, reason="test")

    code, output = run("configure_numbers")

    assert code == ExitCode.NOT_CONFIGURED
    assert "2 of 2 could not be configured" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["+447700900999"], "not in the pool: +447700900999"),
        (["+447700900500"], "is not ours, its state is retired"),
        (["+447700900501", "--all"], "found both"),
    ],
)
def test_configuring_a_number_that_is_not_ours_is_rejected(rentals, run, arguments, message):
    add_numbers(2)
    VirtualNumber.objects.filter(number="+447700900500").update(state=NumberState.RETIRED, is_rented=False)

    code, output = run("configure_numbers", *arguments)

    assert code == ExitCode.USAGE
    assert message in output
    assert rentals.calls == []


# Syncing --------------------------------------------------------------------------------------------------------------


def test_a_sync_imports_numbers_that_are_already_rented(rentals, run):
    rentals.rent("+447700900700", inbound_sms_url())
    rentals.rent("+447700900701", "https://elsewhere.example.com")
    VirtualNumber.objects.create(number="+447700900702", country="GB", state=NumberState.RETIRED)
    rentals.rent("+447700900702")

    code, output = run("sync_numbers")

    assert code == ExitCode.DONE
    assert states() == {
        "+447700900700": "active",
        "+447700900701": "configuring",
        "+447700900702": "configuring",
    }
    assert "3 numbers are ours; 3 brought in." in output
    run("configure_numbers")
    assert rentals.reaching_us() == set(rentals.account)
    assert "no difference" in run("sync_numbers")[1]


def test_a_sync_knows_a_number_that_the_carrier_lists_in_another_spelling(rentals, run):
    add_number("+525512345678", NumberState.ACTIVE, "MX", webhook_url=inbound_sms_url())
    rentals.account = {"+5215512345678": inbound_sms_url()}

    code, output = run("sync_numbers", "--fix")

    assert (code, states()) == (ExitCode.DONE, {"+525512345678": "active"}), output


def test_a_number_may_be_named_in_another_spelling(rentals, run):
    add_number("+525512345678", NumberState.ACTIVE, "MX")
    rentals.account = {"+525512345678": ""}

    run("configure_numbers", "+5215512345678")

    assert VirtualNumber.objects.get().webhook_url == inbound_sms_url()


def test_a_sync_reports_drift_and_does_not_fix_it(rentals, run):
    run("provision_numbers", "--country", "GB", "--count", "3", "--yes")
    cancelled, repointed, fine = sorted(rentals.account)
    del rentals.account[cancelled]
    rentals.rent(repointed, "https://elsewhere.example.com/sms")

    code, output = run("sync_numbers")

    assert code == ExitCode.DRIFT
    assert f"{cancelled}    cancelled at the carrier" in output
    assert f"{repointed}    pointed elsewhere: its messages go to https://elsewhere.example.com/sms" in output
    assert fine not in output
    assert states() == dict.fromkeys([cancelled, repointed, fine], "active")
    assert rentals.account[repointed] == "https://elsewhere.example.com/sms"
    # The advised commands fix the drift.
    run("configure_numbers", repointed)
    assert run("release_numbers", cancelled, "--yes")[0] == ExitCode.DONE
    assert run("sync_numbers")[0] == ExitCode.DONE


@pytest.mark.parametrize("lags", [False, True])
def test_a_number_released_during_a_sync_is_not_imported_again(rentals, run, monkeypatch, lags):
    """It would be assigned to people, and their messages to it would be lost.

    With lags, the number is released just before, and the list is out of date.
    """
    [number] = add_numbers(1)
    rentals.rent(number.number, inbound_sms_url())
    owned = rentals.owned

    def read(one=""):
        listed = list(owned(one))
        if not one:
            release(VirtualNumber.objects.get())
        return iter(listed)

    if lags:
        listed = list(owned())
        release(number)
        monkeypatch.setattr(rentals, "owned", lambda one="": owned(one) if one else iter(listed))
    else:
        monkeypatch.setattr(rentals, "owned", read)

    assert run("sync_numbers")[0] == ExitCode.DONE

    number.refresh_from_db()
    assert (number.state, number.is_rented) == (NumberState.RETIRED, False)


def test_a_sync_with_fix_configures_imported_numbers(rentals, run):
    rentals.rent("+447700900700", "https://elsewhere.example.com")
    run("sync_numbers")
    assert states() == {"+447700900700": "configuring"}

    code, output = run("sync_numbers", "--fix")

    assert code == ExitCode.DONE
    assert "+447700900700    settled: webhook set" in output
    assert states() == {"+447700900700": "active"}
    assert rentals.reaching_us() == {"+447700900700"}


def test_a_sync_settles_unknown_purchases_and_configurations(rentals, run):
    for index, state in enumerate([NumberState.ORDERED, NumberState.ORDERED, NumberState.CONFIGURING]):
        add_number(f"+44770090070{index}", state)
    rentals.rent("+447700900700")
    rentals.rent("+447700900702", inbound_sms_url())

    code, output = run("sync_numbers")

    assert code == ExitCode.DONE
    assert "2 settled" in output
    assert states() == {"+447700900700": "configuring", "+447700900701": "ordered", "+447700900702": "active"}


def test_a_sync_imports_the_number_of_a_former_stranger(rentals, run):
    RealNumber.objects.get_or_create_many([ALICE])
    rentals.rent(ALICE)

    assert run("sync_numbers")[0] == ExitCode.DONE
    assert states() == {ALICE: "configuring"}


def test_a_sync_neither_imports_nor_shows_the_number_of_a_participant(rentals, rented, run):
    talk(ALICE, BOB)
    rentals.rent(ALICE)

    code, output = run("sync_numbers")

    assert code == ExitCode.DRIFT
    assert "the number of a person" in output
    assert ALICE not in output
    assert set(states()) == set(rented)


# Releasing ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def rented(rentals):
    """Return two active numbers, also rented at the carrier."""
    rows = add_numbers(2)
    for row in rows:
        rentals.rent(row.number, inbound_sms_url())
    return [row.number for row in rows]


def test_a_free_number_can_be_released(rentals, rented, run):
    code, output = run("release_numbers", rented[0], types="y\n")

    assert code == ExitCode.DONE
    assert f"{rented[0]} will be cancelled; its cost is unknown" in output
    assert set(rentals.account) == {rented[1]}
    assert states()[rented[0]] == "retired"
    assert "is released already" in run("release_numbers", rented[0], "--yes")[1]


def test_nothing_is_released_without_a_yes(rentals, rented, run):
    assert run("release_numbers", *rented)[0] == ExitCode.USAGE
    assert run("release_numbers", *rented, types="n\n")[0] == ExitCode.USAGE
    assert run("release_numbers", *rented, "--dry-run")[0] == ExitCode.DONE
    assert run("release_numbers", "+447700900999", "--yes")[0] == ExitCode.USAGE

    assert set(rentals.account) == set(rented)
    assert set(states().values()) == {"active"}


def test_a_number_in_use_is_not_released_and_the_error_says_by_how_many_and_until_when(rentals, rented, run, settings):
    conversation = talk(ALICE, BOB)
    used = set(proxies(conversation))

    code, output = run("release_numbers", *rented, "--yes")
    assert code == ExitCode.PARTIAL
    assert "it serves 1 person in open conversations" in output
    assert used <= set(rentals.account)

    conversation.close()
    code, output = run("release_numbers", *used, "--yes")
    until = timezone.now() + timedelta(seconds=settings.COOL_DOWN_SECONDS)
    assert code == ExitCode.PARTIAL
    assert f"1 of its pairs cools down until {until:%Y-%m-%d}" in output
    assert used <= set(rentals.account)
    assert set(states().values()) == {"active"}

    Participant.objects.update(release_at=timezone.now())
    run_jobs()
    assert run("release_numbers", *used, "--yes")[0] == ExitCode.DONE
    assert not used & set(rentals.account)


def test_the_number_of_served_people_is_reported_in_the_plural(rentals, rented, run):
    talk(ALICE, BOB)
    Participant.objects.update(proxy_number=VirtualNumber.objects.get(number=rented[0]))

    assert "it serves 2 people in open conversations" in run("release_numbers", rented[0], "--yes")[1]


@pytest.mark.parametrize("state", [OutboundState.QUEUED, OutboundState.SENDING, OutboundState.UNKNOWN])
def test_a_number_with_unsent_messages_is_not_released(rentals, rented, run, state):
    number = VirtualNumber.objects.get(number=rented[0])
    person = RealNumber.objects.get_or_create_many([ALICE])[ALICE]
    for each in (state, OutboundState.DELIVERED):
        OutboundMessage.objects.create(
            kind="notice", text="hello", segments=1, sender=number, recipient=person, state=each
        )

    code, output = run("release_numbers", rented[0], "--yes")
    assert code == ExitCode.PARTIAL
    assert "1 message is still queued on it" in output
    # The command checks first. The release itself checks again under its lock.
    with pytest.raises(CannotRelease, match="1 message is still queued"):
        release(number)
    assert states()[rented[0]] == "active"

    OutboundMessage.objects.update(state=OutboundState.SENT)
    assert run("release_numbers", rented[0], "--yes")[0] == ExitCode.DONE


@pytest.mark.parametrize("fault", [LOST, PermanentFailure("not ours")], ids=["lost reply", "refused"])
def test_an_unknown_cancellation_is_settled_by_listing(rentals, rented, run, fault):
    rentals.fail("cancel", fault)
    if fault is not LOST:
        del rentals.account[rented[0]]

    assert run("release_numbers", rented[0], "--yes")[0] == ExitCode.DONE
    assert states()[rented[0]] == "retired"


def test_a_failed_cancellation_leaves_the_number_rented_and_can_be_retried(rentals, rented, run):
    rentals.fail("cancel", OutcomeUnknown("no answer"))

    code, _ = run("release_numbers", rented[0], "--yes")
    assert code == ExitCode.CARRIER
    assert states()[rented[0]] == "retired"
    assert VirtualNumber.objects.get(number=rented[0]).is_rented

    assert run("release_numbers", "--retired", "--yes")[0] == ExitCode.DONE
    assert rented[0] not in rentals.account
    assert not VirtualNumber.objects.get(number=rented[0]).is_rented


@pytest.mark.parametrize("moment", ["before cancel", "after cancel"])
def test_a_number_cannot_be_restored_while_it_is_being_cancelled(rentals, rented, run, moment):
    """Otherwise it could be assigned in that moment."""
    refused = []

    def restore(name):
        if name == moment:
            with pytest.raises(StaleState) as error:
                VirtualNumber.objects.get(number=rented[0]).restore(reason="by staff")
            refused.append(error)

    rentals.at_step = restore

    assert run("release_numbers", rented[0], "--yes")[0] == ExitCode.DONE
    assert len(refused) == 1
    assert not VirtualNumber.objects.get(number=rented[0]).is_rented


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_release_waits_for_a_concurrent_conversation_and_is_then_rejected(rentals):
    """The creator has inserted its row without committing. The release waits for the lock, then rejects."""
    [number] = add_numbers(1)
    rentals.rent(number.number)
    outcome = []

    def release_it():
        try:
            release(VirtualNumber.objects.get())
        except CannotRelease as error:
            outcome.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=release_it)
    with transaction.atomic():
        person = RealNumber.objects.get_or_create_many([ALICE])[ALICE]
        conversation = Conversation.objects.create()
        Participant.objects.create(conversation=conversation, position=0, real_number=person, proxy_number=number)
        # The last step of conversations.lifecycle.create.
        assert VirtualNumber.objects.add_live_pairs({number.pk: 1})
        thread.start()
        wait_for_a_lock()
    thread.join(60)

    assert len(outcome) == 1
    assert number.number in rentals.account
    assert states() == {number.number: "active"}


def test_a_released_number_cannot_be_assigned(rentals):
    """The release came first. The creator, which chose the number before, must retry."""
    [number] = add_numbers(1)
    rentals.rent(number.number)
    release(number)

    assert not VirtualNumber.objects.add_live_pairs({number.pk: 1})
