"""The list of conversations, and the next and the previous one of it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, talk

pytestmark = pytest.mark.django_db

LIST = "/admin/conversations/conversation/"


@pytest.fixture
def rides(db):
    """Return five conversations, the oldest first: the second and the fourth are closed, the last is on hold."""
    add_numbers(8)
    made = [talk(ALICE, BOB, reference=f"order-{place}") for place in range(5)]
    made[1].close_permanently()
    made[3].close_permanently()
    made[4].hold(reason="they quarrel", actor="sam")
    return made


def page_of(conversation, filters=""):
    query = f"?_changelist_filters={filters}" if filters else ""
    return reverse("admin:conversations_conversation_change", args=[conversation.pk]) + query


def beside(client, conversation, filters=""):
    context = client.get(page_of(conversation, filters)).context
    return context["newer_url"], context["older_url"]


def test_the_list_shows_the_state_and_the_people_by_label(admin_client, rides):
    page = admin_client.get(LIST).text

    assert all(words in page for words in ("order-1", "● Open", "■ Closed", "‖ On hold", "they quarrel", "Alice, Bob"))
    assert not any(number in page for number in (ALICE, BOB))


def test_the_list_costs_the_same_number_of_queries_however_many_it_shows(admin_client, rides):
    def queries():
        with CaptureQueriesContext(connection) as found:
            admin_client.get(LIST)
        return len(found)

    before = queries()
    for place in range(3):
        talk(ALICE, CHARLIE, reference=f"more-{place}")

    assert queries() == before


@pytest.mark.parametrize("query", ["?state__exact=open", "?held_at__isempty=0", "?service__id__exact=1"])
def test_the_list_offers_filters_that_have_an_index(admin_client, rides, query):
    assert "order-4" in admin_client.get(LIST + query).text


def test_the_page_leads_to_the_next_ones_by_id(admin_client, rides):
    assert beside(admin_client, rides[2]) == (page_of(rides[3]), page_of(rides[1]))
    assert beside(admin_client, rides[4])[0] == ""
    assert beside(admin_client, rides[0])[1] == ""


def test_the_page_leads_to_the_next_ones_of_the_filtered_list(admin_client, rides):
    filters = "state__exact%3Dopen"

    assert beside(admin_client, rides[2], filters) == (page_of(rides[4], filters), page_of(rides[0], filters))
    assert f'href="{LIST}?state__exact=open"' in admin_client.get(page_of(rides[2], filters)).text
    assert beside(admin_client, rides[4], "held_at__isempty%3D0") == ("", "")
    assert beside(admin_client, rides[2], f"service__id__exact%3D{rides[2].service_id}") != ("", "")


@pytest.mark.parametrize("filters", ["q%3Dorder", "state__exact%3Dx", "service__id__exact%3D" + "9" * 30, "%3D%26"])
def test_after_a_search_or_an_unknown_filter_the_next_ones_are_by_id(admin_client, rides, filters):
    newer, older = beside(admin_client, rides[2], filters)

    assert newer.startswith(page_of(rides[3]))
    assert older.startswith(page_of(rides[1]))


def test_the_list_opens_a_conversation_with_its_filters(admin_client, rides):
    page = admin_client.get(f"{LIST}?state__exact=open").text

    assert f'href="{page_of(rides[2], "state__exact%3Dopen")}"' in page
