"""Staff find a caller by the whole number in any spelling, which is in no URL and no statement."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from selenium.webdriver.common.by import By

from numbers.models import RealNumber
from smsproxy.staff.models import AuditEntry
from tests.support.browser import chromium, soon, soon_at
from tests.support.builders import ALICE, BOB, add_numbers

MARIA = "+525512345678"
FIND = "/admin/numbers/realnumber/find/"


@pytest.fixture
def people(db):
    return RealNumber.objects.get_or_create_many([ALICE, MARIA])


def person_page(person):
    return reverse("admin:numbers_realnumber_change", args=[person.pk])


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        (ALICE, ALICE),
        ("+44 (7700) 900-001", ALICE),
        (" 447700900001 ", ALICE),
        ("0044 7700 900001", ALICE),
        (MARIA, MARIA),
        ("+52 1 55 1234 5678", MARIA),
        ("07700 900001", ALICE),
        ("(07700) 900-001", ALICE),
        ("7700.900.001", ALICE),
        ("+44 (0)7700 900001", ALICE),
        ("＋４４ ７７００ ９００００１", ALICE),
        ("٤٤ ٧٧٠٠ ٩٠٠٠٠١", ALICE),
        ("\u202a+44\u00a07700\u2011900001\u202c", ALICE),
    ],
)
def test_a_person_is_found_by_any_spelling_of_the_number(people, admin_client, typed, number):
    add_numbers(1)

    answer = admin_client.post(FIND, {"number": typed})

    assert (answer.status_code, answer.url) == (302, person_page(people[number]))


def test_no_statement_holds_the_number(people, admin_client):
    with CaptureQueriesContext(connection) as queries:
        admin_client.post(FIND, {"number": ALICE})
        admin_client.post(FIND, {"number": BOB})

    assert people[ALICE].number_hash in str(queries.captured_queries)
    assert not [each["sql"] for each in queries if ALICE[-6:] in each["sql"] or BOB[-6:] in each["sql"]]


def test_the_list_asks_for_the_number_in_a_form_that_is_posted(people, admin_client):
    page = admin_client.get(reverse("admin:numbers_realnumber_changelist")).content.decode()

    assert f'method="post" action="{FIND}"' in page
    assert 'method="get"' not in page


def test_who_looked_for_a_person_is_recorded(people, admin_client):
    admin_client.post(FIND, {"number": ALICE})

    entry = AuditEntry.objects.get(action="found")
    assert (entry.actor, entry.object_id, entry.object_name) == ("admin", str(people[ALICE].pk), "+44 ••• 01")
    assert [each.person_id for each in entry.people.all()] == [people[ALICE].pk]


def test_a_number_without_country_code_may_be_that_of_several_people(admin_client):
    add_numbers(1)
    add_numbers(1, "US", start="+1212555010")
    people = RealNumber.objects.get_or_create_many([ALICE, "+17700900001"])

    page = admin_client.post(FIND, {"number": "7700 900001"}).content.decode()

    assert all(person_page(person) in page for person in people.values())
    assert AuditEntry.objects.filter(action="found").count() == 2


def test_a_virtual_number_leads_to_the_conversations_that_use_it(people, admin_client):
    [number] = add_numbers(1)

    page = admin_client.post(FIND, {"number": "07700 900500"}).content.decode()

    assert f"/admin/find/?q=%2B{number.number[1:]}" in page


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (BOB, "No person has this number"),
        (BOB, "People who were in no conversation and never texted us are not stored"),
        ("07700 9000", "Expected a whole phone number"),
        ("7700 900", "Expected a whole phone number"),
        ("+447700900500", "one of our virtual numbers"),
        ("", "Expected a phone number, found nothing"),
        ("+", "Expected a whole phone number"),
        ("+44 7700", "Expected a whole phone number"),
        ("meet me", "Expected a whole phone number"),
        ("+44\x007700900001", "Null characters are not allowed"),
        ("4" * 41, "at most 40 characters"),
    ],
)
def test_a_number_that_is_no_persons_is_explained(people, admin_client, typed, told):
    add_numbers(1)

    answer = admin_client.post(FIND, {"number": typed})

    assert answer.status_code == 200
    assert told in answer.content.decode()


def test_it_needs_the_permission_to_see_people(people, client):
    client.force_login(User.objects.create_user("sam", is_staff=True))
    assert [client.get(FIND).status_code, client.post(FIND, {"number": ALICE}).status_code] == [403, 403]

    User.objects.get().user_permissions.set(Permission.objects.filter(codename="view_realnumber"))

    assert [client.get(FIND).status_code, client.post(FIND, {"number": ALICE}).status_code] == [200, 302]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.xdist_group("browser")
def test_in_a_browser_staff_find_a_person(browse, people):
    with chromium() as browser:
        browse(browser, reverse("admin:numbers_realnumber_changelist"))
        browser.find_element(By.ID, "searchbar").send_keys(BOB)
        browser.find_element(By.CSS_SELECTOR, "#changelist-search input[type=submit]").click()
        assert "No person has this number" in soon(browser, ".errorlist")[0].text
        [number] = soon(browser, "input[name=number]")
        number.clear()
        number.send_keys(ALICE)
        number.submit()
        soon_at(browser, person_page(people[ALICE]))
