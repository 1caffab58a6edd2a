"""API keys in the admin: each new key is shown on one page, and each change is recorded."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone

from smsproxy.api.models import ApiKey
from smsproxy.services.models import Service
from smsproxy.staff.models import AuditEntry
from tests.support.api_requests import URL
from tests.support.endpoints import client_with

pytestmark = pytest.mark.django_db

LIST, ADD = (reverse(f"admin:api_apikey_{name}") for name in ("changelist", "add"))


def form(**changes):
    return {
        "name": "backend",
        "service": Service.objects.get(name="default").pk,
        "scopes": ["read", "write"],
        "requests_per_minute": "",
        "expires_at_0": "",
        "expires_at_1": "",
        **changes,
    }


def shown_key(answer):
    """Return the key on the page after its creation."""
    assert answer.status_code == 200
    return answer.content.decode().partition('<code id="new-key">')[2].partition("</code>")[0]


def rotate(key):
    return reverse("admin:api_apikey_rotate", args=[key.pk])


def page(key):
    return reverse("admin:api_apikey_change", args=[key.pk])


def staff_with(client, *permissions):
    user = User.objects.create_user("sam", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def everything_kept():
    """Return all that the admin keeps of its requests."""
    sessions = [each.get_decoded() for each in Session.objects.all()]
    return str([sessions, list(AuditEntry.objects.values()), list(ApiKey.objects.values())])


def test_a_new_key_is_shown_on_the_answer_to_its_form_and_kept_nowhere(admin_client):
    rides = Service.objects.create(name="rides")

    answer = admin_client.post(ADD, form(service=rides.pk, scopes=["numbers", "read"], requests_per_minute="30"))

    text, key = shown_key(answer), ApiKey.objects.get()
    assert client_with(text).get(URL).status_code == 200
    assert (key.service, key.scopes, key.requests_per_minute, key.expires_at) == (rides, "read numbers", 30, None)
    assert "no-store" in answer["Cache-Control"]
    assert "Location" not in answer
    assert text.rpartition("_")[2] not in everything_kept()
    assert text not in admin_client.get(page(key)).content.decode()
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.object_id, entry.actor) == ("added", str(key.pk), "admin")


def test_sending_the_form_again_makes_no_second_key(admin_client):
    admin_client.post(ADD, form())

    again = admin_client.post(ADD, form())

    assert "A key of this name exists" in again.content.decode()
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"scopes": []}, "Expected at least one scope."),
        ({"scopes": ["admin"]}, "admin is not one of the available choices"),
        ({"name": ""}, "This field is required"),
        ({"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}, "Expected a time in the future"),
        ({"requests_per_minute": "-1"}, "greater than or equal to 0"),
    ],
)
def test_a_wrong_form_makes_no_key_and_says_what_was_expected(admin_client, wrong, told):
    answer = admin_client.post(ADD, form(**wrong))

    assert told in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_rotating_shows_the_new_key_and_records_both_changes(admin_client):
    old, old_text = ApiKey.objects.issue("backend")
    assert rotate(old) in admin_client.get(page(old)).content.decode()
    assert "for 7 days" in admin_client.get(rotate(old)).content.decode()

    answer = admin_client.post(rotate(old), {"overlap": "24"})

    text = shown_key(answer)
    assert [client_with(each).get(URL).status_code for each in (old_text, text)] == [200, 200]
    assert text.rpartition("_")[2] not in everything_kept()
    old.refresh_from_db()
    assert old.expires_at
    assert timedelta(hours=23) < old.expires_at - timezone.now() <= timedelta(days=1)
    new = ApiKey.objects.current().get()
    entries = AuditEntry.objects.order_by("pk").values_list("object_id", "action", "actor")
    assert list(entries) == [(str(old.pk), "did", "admin"), (str(new.pk), "added", "admin")]


def test_a_key_that_was_rotated_is_not_rotated_again(admin_client):
    old, _ = ApiKey.objects.issue("backend")
    old.rotate(overlap=timedelta(days=1))

    answer = admin_client.post(rotate(old), {"overlap": "24"})

    assert "Nothing was changed" in answer.content.decode()
    assert rotate(old) not in admin_client.get(page(old)).content.decode()
    assert ApiKey.objects.count() == 2


def test_the_list_shows_the_last_use_and_the_status_of_each_key(admin_client):
    key, text = ApiKey.objects.issue("backend")
    ApiKey.objects.issue("gone")[0].revoke()
    client_with(text).get(URL)

    shown = admin_client.get(LIST).content.decode()

    assert [status in shown for status in (">Valid<", ">Revoked<")] == [True, True]
    key.refresh_from_db()
    assert f"{key.last_used_at:%H:%M}" in shown or "a.m." in shown or "p.m." in shown or "noon" in shown


def test_staff_who_may_only_see_keys_can_neither_make_rotate_nor_revoke_one(client):
    key, _ = ApiKey.objects.issue("backend")
    staff_with(client, "view_apikey")

    assert client.get(page(key)).status_code == 200
    assert [client.get(each).status_code for each in (ADD, rotate(key))] == [403, 403]
    assert client.post(rotate(key), {"overlap": "24"}).status_code == 403
    client.post(LIST, {"action": "revoke", "_selected_action": [key.pk], "reason": "ticket 4711"})
    assert list(ApiKey.objects.valid()) == [key]


def test_staff_who_may_add_keys_but_not_end_them_cannot_rotate_one(client):
    key, _ = ApiKey.objects.issue("backend")
    staff_with(client, "view_apikey", "add_apikey")

    assert shown_key(client.post(ADD, form(name="second")))
    assert client.post(rotate(key), {"overlap": "0"}).status_code == 403


def test_a_key_that_does_not_exist_cannot_be_rotated(admin_client):
    assert admin_client.get(reverse("admin:api_apikey_rotate", args=[4711])).status_code == 404
