"""Staff see who has opted out and since when, and end it only with a reason that is kept."""

import pytest
from django.urls import reverse
from django.utils.formats import localize
from django.utils.html import escape
from selenium.webdriver.common.by import By

from numbers.models import PersonEvent, RealNumber
from tests.support.browser import chromium, soon, soon_at
from tests.support.builders import ALICE, BOB

PERMISSIONS = ["view_realnumber", "end_opt_out"]


@pytest.fixture
def bob(db):
    """Return Bob, who has opted out. Alice has not."""
    people = RealNumber.objects.get_or_create_many([ALICE, BOB])
    return people[BOB].opt_out(reason="texted STOP")


def page(name, *args):
    return reverse(f"admin:numbers_realnumber_{name}", args=args)


def test_the_list_can_show_only_people_who_have_opted_out_and_since_when(staff, bob):
    client = staff("view_realnumber")

    html = client.get(page("changelist"), {"opted_out_at__isempty": "0"}).content.decode()

    assert "1 real number" in html
    assert str(bob) in html
    assert BOB not in html
    assert localize(bob.opted_out_at) in html


def test_the_page_of_a_person_shows_the_history(staff, bob):
    bob.opt_in(reason="staff: asked by phone", actor="kim")

    html = staff("view_realnumber", "view_personevent").get(page("change", bob.pk)).content.decode()

    assert "texted STOP" in html
    assert "staff: asked by phone" in html
    assert "kim" in html
    assert "End the opt-out" not in html


def test_an_opt_out_ends_with_a_reason_and_who_gave_it(staff, bob):
    client = staff(*PERMISSIONS)
    assert page("end_opt_out", bob.pk) in client.get(page("change", bob.pk)).content.decode()

    answer = client.post(page("end_opt_out", bob.pk), {"reason": "by phone, ticket 4711"}, follow=True)

    assert "receives messages again" in answer.content.decode()
    bob.refresh_from_db()
    assert bob.opted_out_at is None
    event = PersonEvent.objects.first()
    assert (event.new_state, event.reason, event.actor) == ("receives", "staff: by phone, ticket 4711", "sam")


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("", "Expected the reason, found nothing"),
        ("   ", "Expected the reason, found nothing"),
        (f"{BOB} rang", "Expected a reason without phone numbers"),
        ("x" * 201, "at most 200 characters"),
    ],
)
def test_without_a_good_reason_nothing_changes(staff, bob, reason, error):
    answer = staff(*PERMISSIONS).post(page("end_opt_out", bob.pk), {"reason": reason})

    assert escape(error) in answer.content.decode()
    bob.refresh_from_db()
    assert bob.opted_out_at is not None
    assert PersonEvent.objects.count() == 1


@pytest.mark.parametrize(
    "permissions", [["view_realnumber"], ["end_opt_out"], ["view_realnumber", "change_realnumber"]]
)
def test_it_needs_a_permission_of_its_own(staff, bob, permissions):
    client = staff(*permissions)

    assert client.get(page("end_opt_out", bob.pk)).status_code == 403
    assert client.post(page("end_opt_out", bob.pk), {"reason": "by phone"}).status_code == 403
    assert b"End the opt-out" not in client.get(page("change", bob.pk)).content
    bob.refresh_from_db()
    assert bob.opted_out_at is not None


def test_a_person_who_has_texted_start_since_the_page_was_opened_is_left_alone(staff, bob):
    client = staff(*PERMISSIONS)
    bob.opt_in(reason="texted START")

    answer = client.post(page("end_opt_out", bob.pk), {"reason": "by phone"}, follow=True)

    assert "has not opted out. Nothing was changed." in answer.content.decode()
    assert PersonEvent.objects.count() == 2


def test_a_person_who_does_not_exist_is_not_found(staff, db):
    assert staff(*PERMISSIONS).get(page("end_opt_out", 99)).status_code == 404


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.xdist_group("browser")
def test_in_a_browser_staff_end_an_opt_out(browse, bob):
    with chromium() as browser:
        browse(browser, page("change", bob.pk))
        browser.find_element(By.CSS_SELECTOR, "a[href*=end-opt-out]").click()
        [reason] = soon(browser, "input[name=reason]")
        reason.send_keys("by phone, ticket 4711")
        browser.find_element(By.CSS_SELECTOR, "input[type=submit]").click()
        soon_at(browser, page("change", bob.pk))
        assert "receives messages again" in soon(browser, ".messagelist")[0].text

    bob.refresh_from_db()
    assert bob.opted_out_at is None
