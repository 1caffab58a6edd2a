"""Staff see the terms of a conversation, and its metadata only with permission."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from conversations.models import Conversation
from smsproxy.staff.models import AuditEntry
from tests.support.api_requests import URL, asked_for
from tests.support.builders import add_numbers
from tests.support.staff_members import log_in

pytestmark = pytest.mark.django_db

LIST = "/admin/conversations/conversation/"


@pytest.fixture
def page(api):
    add_numbers(2)
    terms = {"metadata": {"order": "secret-42"}, "language": "pt-BR", "ttl": 4321, "texts": {"ended": "Acabou."}}
    assert api.post(URL, asked_for(**terms)).status_code == 201
    return reverse("admin:conversations_conversation_change", args=[Conversation.objects.get().pk])


def test_the_page_shows_the_terms(admin_client, page):
    assert all(value in admin_client.get(page).text for value in ("default", "pt-BR", "4321", "Acabou."))


def test_the_page_links_to_no_row_that_its_reader_may_not_open(client, page):
    rows = ["/services/service/", "/numbers/virtualnumber/", "/numbers/realnumber/", "/api/apikey/"]

    def linked(*rights):
        client.logout()
        User.objects.all().delete()
        text = log_in(client, "view_conversation", "view_participant", *rights).get(page).text
        assert all(value in text for value in ("default", "+447700900500", "+44 ••• 01"))
        return [each for each in rows if f'href="/admin{each}' in text]

    assert linked() == []
    assert linked("view_service", "view_virtualnumber") == rows[:2]
    assert linked("view_service", "view_virtualnumber", "view_realnumber", "view_apikey") == rows


def test_metadata_is_shown_and_recorded_under_a_reveal_of_the_texts(client, page):
    log_in(client, "view_conversation", "read_message_text")
    assert "secret-42" not in client.get(page).text
    client.post(reverse("admin:reveal", args=["texts", Conversation.objects.get().pk]), {"reason": "ticket 4711"})

    assert "secret-42" in client.get(page).text
    assert "secret-42" not in client.get(LIST).text
    assert AuditEntry.objects.get(action="saw").detail == "its texts and metadata"


def test_metadata_is_hidden_without_that_permission(client, page):
    log_in(client, "view_conversation")

    assert "secret-42" not in client.get(page).text
    assert not AuditEntry.objects.exists()
