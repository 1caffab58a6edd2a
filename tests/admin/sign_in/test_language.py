"""The admin is in the language of its user. The API and its errors stay in English."""

import pytest
from django.utils import translation

from smsproxy.staff.models import AuditEntry

pytestmark = pytest.mark.django_db
GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}


def test_the_admin_follows_the_browser(client):
    answer = client.get("/admin/login/", headers=GERMAN)

    html = answer.content.decode()
    assert '<html lang="de"' in html
    assert "Passwort" in html
    assert answer.headers["Content-Language"] == "de"
    assert {"Accept-Language", "Cookie"} <= set(answer.headers["Vary"].split(", "))


@pytest.mark.parametrize("asked", ["fr", "en-US", "*", "x" * 600, ""])
def test_any_other_language_is_english(client, asked):
    assert '<html lang="en-gb"' in client.get("/admin/login/", headers={"Accept-Language": asked}).content.decode()


def test_a_choice_in_the_header_goes_before_the_browser_and_leads_back(client):
    answer = client.post("/admin/language/", {"language": "en-gb", "next": "/admin/login/?ended=idle"}, headers=GERMAN)

    assert answer.url == "/admin/login/?ended=idle"
    assert '<html lang="en-gb"' in client.get("/admin/login/", headers=GERMAN).content.decode()
    cookie = answer.cookies["django_language"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")


def test_the_choice_leads_to_no_other_site(client):
    answer = client.post("/admin/language/", {"language": "de", "next": "https://evil.example/"})

    assert "evil" not in answer.url


def test_the_button_of_the_other_language_is_written_in_it(client):
    html = client.get("/admin/login/").content.decode()

    assert '<button type="submit" name="language" value="de" lang="de">Deutsch</button>' in html
    assert 'value="en-gb"' not in html


@pytest.mark.parametrize("path", ["/api/v1/conversations/", "/nowhere/", "/api/v1/docs/"])
def test_all_other_pages_stay_as_they_are(client, path):
    in_german, in_english = client.get(path, headers=GERMAN), client.get(path)

    assert "Content-Language" not in in_german.headers
    assert len(in_german.content) == len(in_english.content)
    assert translation.get_language() == "en-gb"


def test_the_audit_stays_in_english(client, sam, sign_in):
    sign_in("sam", "wrong", headers=GERMAN)

    assert AuditEntry.objects.get().detail == "wrong password"


def test_numbers_in_drawings_have_a_decimal_point_in_german():
    from django.template import Context, Template

    with translation.override("de"):
        assert Template("{{ x }} {{ y }}").render(Context({"x": 12.5, "y": 12345})) == "12.5 12345"
