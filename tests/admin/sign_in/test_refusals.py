"""Refusals, missing pages and old forms are shown in the frame of the admin."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

import smsproxy.urls  # noqa: F401 - with the carrier of the settings, whichever test runs first
from smsproxy.staff.models import AuditEntry
from tests.admin.sign_in.conftest import PASSWORD

pytestmark = pytest.mark.django_db
CONVERSATIONS = "/admin/conversations/conversation/"


@pytest.fixture
def staff(client, sam):
    client.force_login(sam)
    return client


def test_a_refusal_names_the_right_and_the_groups_that_have_it(staff):
    right = Permission.objects.get(codename="view_conversation")
    Group.objects.create(name="Rooms A").permissions.add(right)
    Group.objects.create(name="Rooms B").permissions.add(right)

    answer = staff.get(CONVERSATIONS)

    html = answer.content.decode()
    assert answer.status_code == 403
    assert "Can view conversation" in html
    assert "conversations.view_conversation" in html
    assert "Rooms A, " in html
    assert "Rooms B" in html
    assert "ask an administrator" in html
    assert 'id="header"' in html


def test_a_refusal_is_in_the_audit(staff):
    staff.get(CONVERSATIONS)

    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action) == ("sam", "refused")
    assert entry.detail == "conversations.view_conversation for conversations_conversation_changelist"


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/admin/conversations/block/add/", "conversations.add_block"),
        ("/admin/auth/user/1/delete/", "auth.delete_user"),
        ("/admin/plan/", ""),
    ],
)
def test_each_refused_page_names_what_it_needs(staff, sam, path, right):
    answer = staff.get(path.replace("/1/", f"/{sam.pk}/"))

    assert answer.status_code == 403
    assert right in answer.content.decode()
    assert 'id="header"' in answer.content.decode()


def test_a_page_that_nobody_may_open_says_so(admin_client, settings):
    settings.CARRIER = "vonage"

    html = admin_client.get("/admin/simulator/simulatedtext/").content.decode()

    assert "whatever your rights are" in html


def test_a_missing_page_is_in_the_frame_for_staff_and_a_sign_in_for_others(staff):
    answer = staff.get("/admin/nowhere/")
    assert answer.status_code == 404
    assert 'id="header"' in answer.content.decode()

    assert Client().get("/admin/nowhere/").status_code == 302


def test_missing_pages_and_refusals_elsewhere_stay_as_they_are(staff):
    assert staff.get("/api/v1/nowhere/").headers["Content-Type"] == "application/problem+json"
    assert 'id="header"' not in staff.get("/nowhere/").content.decode()


def test_a_form_with_an_old_token_is_answered_in_the_frame():
    answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "sam", "password": PASSWORD})

    assert answer.status_code == 403
    assert "Nothing was done" in answer.content.decode()
    assert 'id="header"' in answer.content.decode()


@pytest.mark.parametrize(("carrier", "name"), [("simulator", "phones"), ("vonage", "reference")])
def test_the_frame_leads_to_the_phones_or_to_the_reference(staff, settings, carrier, name):
    settings.CARRIER = carrier

    assert f'<a href="{reverse(name)}">' in staff.get("/admin/").content.decode()


def test_a_refusal_with_a_character_that_postgresql_refuses_is_in_the_audit(client, sam):
    client.force_login(sam)

    assert client.get("/admin/numbers/pool/7%00/change/").status_code == 403

    assert AuditEntry.objects.get().detail == "numbers.view_pool for numbers_pool_change 7"


@pytest.mark.parametrize("url", ["/admin/numbers/pool/", "/admin/nothing/"])
def test_no_browser_keeps_a_page_that_refuses(client, sam, url):
    client.force_login(sam)

    assert "no-store" in client.get(url).headers["Cache-Control"]
