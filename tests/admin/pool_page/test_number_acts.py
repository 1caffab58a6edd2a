"""What staff do to a number, each for a reason that the audit keeps."""

import pytest
from django.urls import reverse

from numbers.admin.pool_page import number_acts
from numbers.models import NumberState, VirtualNumber
from numbers.provisioning.release import release
from smsproxy.carriers.base import TemporaryFailure
from smsproxy.staff.models import AuditEntry
from tests.support.builders import ALICE, BOB, add_number, add_numbers, talk
from tests.support.fake_rental_carrier import LOST

pytestmark = pytest.mark.django_db

OURS = "+447700900500"


def page_of(number):
    return reverse("admin:numbers_virtualnumber_change", args=[number.pk])


def url(number, act):
    return reverse("admin:pool_number_act", args=[number.pk, act])


def do(client, number, act, reason="ticket 4711"):
    response = client.post(url(number, act), {"reason": reason}, follow=True)
    number.refresh_from_db()
    return response


def told(response):
    return [f"{message.level_tag}: {message}" for message in response.context["messages"]]


@pytest.mark.parametrize(
    ("act", "before", "after"),
    [
        ("quarantine", NumberState.ACTIVE, NumberState.QUARANTINED),
        ("drain", NumberState.ACTIVE, NumberState.DRAINING),
        ("restore", NumberState.QUARANTINED, NumberState.ACTIVE),
        ("restore", NumberState.DRAINING, NumberState.ACTIVE),
    ],
)
def test_staff_change_the_state_of_a_number_for_a_reason(staff, act, before, after):
    number = add_number(OURS, before, is_rented=True)
    client = staff()

    response = do(client, number, act)

    assert response.redirect_chain == [(page_of(number), 302)]
    assert told(response)[0].startswith("success: ")
    assert number.state == after
    event = number.events.first()
    assert (event.reason, event.actor) == ("ticket 4711", "sam")
    entry = AuditEntry.objects.get(action="did")
    assert (entry.detail, entry.reason, entry.object_name, entry.actor) == (act, "ticket 4711", OURS, "sam")


def test_nothing_happens_without_a_reason(staff):
    [number] = add_numbers(1)

    page = do(staff(), number, "drain", reason="").text

    assert "Expected the reason" in page
    assert number.state == NumberState.ACTIVE


def test_the_page_of_a_number_shows_its_bar_and_the_acts_that_its_state_allows(staff):
    add_numbers(2)
    talk(ALICE, BOB)
    number = VirtualNumber.objects.first()

    page = staff(*["view_virtualnumber", "change_virtualnumber", "release_virtualnumber", "replace_virtualnumber"])
    html = page.get(page_of(number)).text

    assert "1 open, 0 cooling" in html
    for act in ("quarantine", "drain", "replace"):
        assert url(number, act) in html
    for act in ("restore", "release"):
        assert url(number, act) not in html


def test_a_draining_number_says_when_it_retires(staff, settings):
    settings.COOL_DOWN_SECONDS = 3600
    [number, _] = add_numbers(2)
    talk(ALICE, BOB).close(reason="done")
    number.drain(reason="for the test")

    page = staff().get(page_of(number)).text

    assert "when its last pair has cooled down: " in " ".join(page.split())


@pytest.mark.parametrize("act", ["quarantine", "drain", "restore", "release", "replace"])
def test_an_act_needs_its_right(staff, act):
    number = add_number(OURS, NumberState.DRAINING)
    client = staff("view_virtualnumber")

    assert url(number, act) not in client.get(page_of(number)).text
    assert client.get(url(number, act)).status_code == 403
    assert client.post(url(number, act), {"reason": "why"}).status_code == 403


def test_an_act_that_a_number_does_not_have_is_not_found(staff):
    [number] = add_numbers(1)
    client = staff()

    assert client.get(url(number, "explode")).status_code == 404
    assert client.get(reverse("admin:pool_number_act", args=[number.pk + 1, "drain"])).status_code == 404


def test_an_act_that_the_state_does_not_allow_any_more_changes_nothing_and_says_so(staff):
    number = add_number(OURS, NumberState.RETIRED)

    response = do(staff(), number, "drain")

    assert told(response)[0].startswith("error: Nothing was done")
    assert number.state == NumberState.RETIRED


# Release --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def drained(rentals):
    rentals.rent(OURS)
    return add_number(OURS, NumberState.DRAINING, monthly_cost="1.25")


def test_the_page_that_releases_a_number_shows_the_money_saved(staff, drained):
    assert "It saves EUR 1.25 a month" in staff().get(url(drained, "release")).text


def test_a_released_number_is_cancelled_at_the_carrier_outside_any_transaction(staff, rentals, drained):
    response = do(staff(), drained, "release")

    assert told(response) == [f"success: {OURS} is cancelled at the carrier."]
    assert rentals.account == {}
    assert (drained.state, drained.is_rented) == (NumberState.RETIRED, False)
    assert {event.actor for event in drained.events.all()} == {"sam"}
    details = AuditEntry.objects.filter(action="did").order_by("pk").values_list("detail", flat=True)
    assert list(details) == ["release, begun", "release"]


def test_a_number_that_serves_somebody_is_not_released(staff, rentals):
    add_numbers(2)
    talk(ALICE, BOB)
    number = VirtualNumber.objects.first()

    response = do(staff(), number, "release")

    assert told(response)[0].startswith("error: Nothing was cancelled: it serves 1 person in open conversations")
    assert number.state == NumberState.ACTIVE
    assert "It cannot be released now" in response.client.get(url(number, "release")).text


@pytest.mark.parametrize("state", [NumberState.ACTIVE, NumberState.QUARANTINED])
def test_a_number_that_was_restored_before_the_confirmation_is_not_released(staff, rentals, state):
    rentals.rent(OURS)
    number = add_number(OURS, state, is_rented=True)

    response = do(staff(), number, "release")

    assert "Drain it first" in told(response)[0]
    assert (number.state, list(rentals.account)) == (state, [OURS])
    details = AuditEntry.objects.filter(action="did").order_by("pk").values_list("detail", flat=True)
    assert list(details) == ["release, begun", "release, which was refused"]


def test_a_release_without_an_answer_is_told_and_can_be_repeated(staff, rentals, drained):
    rentals.fail("cancel", *[TemporaryFailure("the carrier is unreachable")] * 4)
    client = staff()

    response = do(client, drained, "release")

    assert told(response)[0].startswith("error: The carrier has not confirmed: the carrier is unreachable")
    assert (drained.state, drained.is_rented) == (NumberState.RETIRED, True)
    assert url(drained, "release") in response.text
    assert told(do(client, drained, "release")) == [f"success: {OURS} is cancelled at the carrier."]
    assert drained.is_rented is False


def test_a_release_whose_answer_was_lost_is_settled_with_the_carrier(staff, rentals, drained):
    rentals.fail("cancel", LOST)

    assert told(do(staff(), drained, "release"))[0].startswith("success: ")
    assert drained.is_rented is False


def test_a_request_does_not_wait_for_the_carrier_without_a_bound(staff, drained, monkeypatch):
    monkeypatch.setattr(number_acts, "CARRIER_SECONDS", 0.0)
    monkeypatch.setattr("threading.Timer.start", lambda timer: timer.function())

    response = do(staff(), drained, "release")

    assert "it did not answer in time" in told(response)[0]
    release(drained)
