"""Sessions of staff end after 8 hours, after 30 idle minutes, and with a new password."""

import pytest
from django.test import Client

from smsproxy.staff.models import AuditEntry
from tests.admin.sign_in.conftest import PASSWORD

HOME = "/admin/"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _limits(settings):
    settings.STAFF_SESSION_SECONDS, settings.STAFF_IDLE_SECONDS = 8 * 3600, 1800


def test_a_session_ends_after_30_idle_minutes_and_the_page_says_so(client, sam, time_machine):
    client.force_login(sam)
    time_machine.shift(1799)
    assert client.get(HOME).status_code == 200
    time_machine.shift(1801)

    answer = client.get("/admin/conversations/conversation/?q=x", follow=True)

    assert answer.redirect_chain[0][0] == (
        "/admin/login/?ended=idle&next=%2Fadmin%2Fconversations%2Fconversation%2F%3Fq%3Dx"
    )
    assert "asked for no page for a while" in answer.content.decode()
    assert AuditEntry.objects.get().detail == "after idle minutes"


def test_a_page_that_refreshes_itself_keeps_no_session_alive(client, sam, time_machine):
    client.force_login(sam)
    for _ in range(3):
        time_machine.shift(500)
        assert client.get("/admin/home/figures/", headers={"X-Refresh": "1"}).status_code == 200

    time_machine.shift(301)
    assert client.get("/admin/home/figures/", headers={"X-Refresh": "1"}).url.startswith("/admin/login/?ended=idle")


def test_a_session_ends_after_8_hours_of_work(client, sam, time_machine):
    client.force_login(sam)
    for _ in range(19):
        time_machine.shift(1500)
        assert client.get("/admin/technical/").status_code == 200  # Quicker than the first page.
    time_machine.shift(301)

    assert client.get(HOME).url.startswith("/admin/login/?ended=hours")


def test_a_session_of_an_older_version_ends(client, sam):
    client.force_login(sam)
    session = client.session
    del session["signed_in_at"]
    session.save()

    assert client.get(HOME).url.startswith("/admin/login/?ended=hours")


def test_a_form_that_was_sent_too_late_does_nothing(client, sam, time_machine):
    client.force_login(sam)
    time_machine.shift(1801)

    assert client.post("/admin/password_change/", {"old_password": PASSWORD}).url == "/admin/login/?ended=idle"


def test_pages_in_quick_succession_write_no_session(client, sam, django_assert_num_queries, time_machine):
    client.force_login(sam)
    client.get(HOME)
    with django_assert_num_queries(2):  # the session, the user
        client.get("/admin/login/code/")


def test_a_new_password_ends_the_other_sessions_and_is_in_the_audit(client, sam):
    other = Client()
    other.force_login(sam)
    client.force_login(sam)
    new = {"new_password1": "a much better one", "new_password2": "a much better one"}

    assert client.post("/admin/password_change/", {"old_password": PASSWORD, **new}).status_code == 302

    assert client.get(HOME).status_code == 200
    assert other.get(HOME).status_code == 302
    assert AuditEntry.objects.get().detail == "changed the own password"


def test_cookies_are_for_this_site_over_https_and_not_for_scripts(sam, sign_in):
    cookies = sign_in().cookies

    assert set(cookies) == {"sessionid", "csrftoken"}
    for cookie in cookies.values():
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")


def test_sign_out_needs_a_form(client, sam):
    client.force_login(sam)
    assert '<form method="post" action="/admin/logout/">' in client.get("/admin/logout/").content.decode()
    assert client.get(HOME).status_code == 200

    assert client.post("/admin/logout/").url == "/admin/login/?ended=signed-out"

    assert client.get(HOME).status_code == 302
