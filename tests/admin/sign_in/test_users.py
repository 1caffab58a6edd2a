"""Administrators add and change users. What only superusers may do cannot be had by changing a user."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models.signals import post_save

from smsproxy.staff.models import AuditEntry
from tests.admin.sign_in.conftest import PASSWORD
from tests.support.concurrency import at_once, wait_for_a_lock
from tests.support.signals import failing

pytestmark = pytest.mark.django_db

OTHER = "another long staple of batteries"


@pytest.fixture
def personnel(client, sam):
    """Sam, who may change and delete users, and is no superuser."""
    rights = ["view_user", "add_user", "change_user", "delete_user"]
    sam.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(sam)
    return client


def page(user, name="change"):
    return f"/admin/auth/user/{user.pk}/{name}/"


def fields_of(user):
    return {
        "username": user.username,
        "is_active": "on",
        "is_staff": "on",
        "date_joined_0": "2026-11-29",
        "date_joined_1": "10:00:00",
    }


def test_only_a_superuser_changes_or_deletes_a_superuser(personnel, admin_user):
    new = {"password1": OTHER, "password2": OTHER}

    answers = [
        personnel.post(page(admin_user, "password"), new),
        personnel.post(page(admin_user), fields_of(admin_user) | {"username": "root"}),
        personnel.post(page(admin_user, "delete"), {"post": "yes"}),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    chosen = {"action": "delete_selected", "_selected_action": [admin_user.pk], "post": "yes"}
    personnel.post("/admin/auth/user/", chosen)
    admin_user.refresh_from_db()
    assert (admin_user.username, admin_user.check_password(OTHER)) == ("admin", False)


def test_only_a_superuser_gives_rights_to_users(personnel, sam):
    rights = {"is_superuser": "on", "groups": [Group.objects.create(name="all").pk]}
    rights["user_permissions"] = [Permission.objects.get(codename="change_conversation").pk]

    answer = personnel.post(page(sam), fields_of(sam) | {"first_name": "Sam"} | rights)

    assert answer.status_code == 302
    sam.refresh_from_db()
    assert (sam.first_name, sam.is_superuser, sam.groups.exists()) == ("Sam", False, False)
    assert sam.user_permissions.count() == 4


def test_others_change_a_user_who_is_no_superuser(personnel, sam):
    kim = User.objects.create_user("kim", password=PASSWORD)

    personnel.post(page(kim, "password"), {"password1": OTHER, "password2": OTHER})

    kim.refresh_from_db()
    assert kim.check_password(OTHER)


def test_a_superuser_gives_rights_and_changes_superusers(admin_client, admin_user, sam):
    admin_client.post(page(sam), fields_of(sam) | {"is_superuser": "on"})
    admin_client.post(page(sam, "password"), {"password1": OTHER, "password2": OTHER})

    sam.refresh_from_db()
    assert (sam.is_superuser, sam.check_password(OTHER)) == (True, True)


def test_a_password_is_not_changed_without_an_entry_in_the_audit(admin_client, sam):
    admin_client.raise_request_exception = False
    with failing(post_save, AuditEntry):
        answer = admin_client.post(page(sam, "password"), {"password1": OTHER, "password2": OTHER})

    sam.refresh_from_db()
    assert (answer.status_code, sam.check_password(PASSWORD)) == (500, True)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_name_that_somebody_takes_at_that_moment_is_told_as_taken(admin_client):
    def add(_):
        body = {"username": "kim", "usable_password": "true", "password1": OTHER, "password2": OTHER}
        return admin_client.post("/admin/auth/user/add/", body)

    with ThreadPoolExecutor(1) as beside:
        with transaction.atomic():
            User.objects.create_user("kim")
            late = beside.submit(at_once, 1, add)
            wait_for_a_lock(unless=late.done)
        [answer] = late.result()

    assert "already exists" in str(answer.context["adminform"].form.errors["username"])
    assert User.objects.filter(username="kim").count() == 1
    assert not AuditEntry.objects.filter(action="added").exists()
