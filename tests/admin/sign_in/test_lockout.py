"""Five wrong passwords lock the sign-in for 15 minutes, and no mistake in typing is kept."""

import logging
import threading

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import Client

from smsproxy.sign_in import records
from smsproxy.sign_in.password_turn import password_turn
from smsproxy.staff.models import AuditAction, AuditEntry
from tests.admin.sign_in.conftest import PASSWORD
from tests.support.concurrency import at_once

pytestmark = pytest.mark.django_db
SECRET = "call 07700 900001"


@pytest.fixture(autouse=True)
def _lock(settings):
    settings.AXES_ENABLED = True


def fail(sign_in, times=5, name="sam", **options):
    return [sign_in(name, "wrong", **options) for _ in range(times)][-1]


def entries():
    return list(AuditEntry.objects.order_by("pk").values_list("actor", "action", "detail"))


def test_five_wrong_passwords_lock_the_sign_in_for_15_minutes(sam, sign_in, time_machine):

    locked = fail(sign_in)

    assert locked.status_code == 429
    assert 'datetime="2026-11-29T10:15:00+00:00"' in locked.content.decode()
    assert "ask an administrator" in locked.content.decode()
    assert sign_in().status_code == 429
    time_machine.move_to("2026-11-29 10:14:59Z", tick=False)
    assert sign_in().status_code == 429
    time_machine.move_to("2026-11-29 10:15:01Z", tick=False)
    assert sign_in().status_code == 302


def test_tries_during_the_lock_do_not_extend_it(sam, sign_in, time_machine):
    fail(sign_in)
    time_machine.move_to("2026-11-29 10:10:00Z", tick=False)

    assert 'datetime="2026-11-29T10:15:00+00:00"' in fail(sign_in, 3).content.decode()


def test_a_sign_in_forgets_the_wrong_passwords_before_it(sam, sign_in):
    fail(sign_in, 4)
    assert sign_in().status_code == 302

    assert fail(sign_in, 4).status_code == 200
    assert not AccessAttempt.objects.filter(failures_since_start__gte=5).exists()


@pytest.fixture
def busy():
    """Check three passwords for as long as the test runs: one has its turn, and two wait."""
    end, refused = threading.Event(), threading.Event()

    def check():
        try:
            with password_turn():
                end.wait()
        except ValidationError:
            refused.set()

    threads = [threading.Thread(target=check) for _ in range(4)]
    for each in threads:
        each.start()
    refused.wait()  # Now the three others have all places.
    yield
    end.set()
    for each in threads:
        each.join()


def test_while_several_passwords_are_checked_others_are_asked_to_try_again(sam, sign_in, busy):
    answers = [sign_in("sam", "wrong") for _ in range(6)]

    assert {answer.status_code for answer in answers} == {429}
    assert "Try again in a minute" in answers[0].content.decode()
    assert not AccessAttempt.objects.exists()
    assert entries() == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_simultaneous_wrong_passwords_do_not_pass_the_lock(sam):
    def fail_once(index):
        return Client().post("/admin/login/", {"username": "sam", "password": "wrong"}).status_code

    while sum(AccessAttempt.objects.values_list("failures_since_start", flat=True)) < 5:
        at_once(16, fail_once)
    at_once(16, fail_once)

    assert AccessAttempt.objects.get().failures_since_start == 5


def test_while_several_passwords_are_checked_a_change_of_the_own_one_is_asked_to_try_again(client, sam, busy):
    client.force_login(sam)
    new = {"new_password1": "a much better one", "new_password2": "a much better one"}

    answer = client.post("/admin/password_change/", {"old_password": PASSWORD, **new})

    assert "Try again in a minute" in answer.content.decode()
    sam.refresh_from_db()
    assert sam.check_password(PASSWORD)


def test_the_same_name_at_another_address_is_not_locked(sam, sign_in):
    fail(sign_in)

    assert sign_in(REMOTE_ADDR="192.0.2.7").status_code == 302


def test_behind_a_proxy_the_address_is_the_last_one_that_the_proxy_added(sam, sign_in, settings):
    settings.BEHIND_TLS_PROXY = True
    fail(sign_in, headers={"X-Forwarded-For": "192.0.2.1"})

    assert sign_in(headers={"X-Forwarded-For": "10.9.9.9, 192.0.2.1"}).status_code == 429
    assert sign_in(headers={"X-Forwarded-For": "192.0.2.1, 192.0.2.8"}).status_code == 302


def test_without_a_proxy_a_forged_address_changes_nothing(sam, sign_in):
    fail(sign_in, headers={"X-Forwarded-For": "192.0.2.1"})

    assert sign_in(headers={"X-Forwarded-For": "192.0.2.2"}).status_code == 429


def test_the_addresses_of_one_ipv6_network_are_counted_together(sam, sign_in):
    for last in range(5):
        sign_in("sam", "wrong", REMOTE_ADDR=f"2001:db8:1:2:{last}::7")

    assert sign_in(REMOTE_ADDR="2001:db8:1:2:ffff::1").status_code == 429
    assert sign_in(REMOTE_ADDR="2001:db8:1:3::7").status_code == 302


def test_an_ipv4_address_counts_the_same_in_the_form_of_ipv6(sam, sign_in):
    fail(sign_in, REMOTE_ADDR="192.0.2.7")

    assert sign_in(REMOTE_ADDR="::ffff:192.0.2.7").status_code == 429
    assert sign_in(REMOTE_ADDR="::ffff:192.0.2.8").status_code == 302


def test_five_wrong_old_passwords_lock_the_change_of_the_password(client, sam):
    client.force_login(sam)
    new = {"new_password1": "a much better one", "new_password2": "a much better one"}
    for _ in range(4):
        assert client.post("/admin/password_change/", {"old_password": "wrong", **new}).status_code == 200

    assert client.post("/admin/password_change/", {"old_password": "wrong", **new}).status_code == 429
    assert client.post("/admin/password_change/", {"old_password": PASSWORD, **new}).status_code == 429
    sam.refresh_from_db()
    assert sam.check_password(PASSWORD)


def test_an_administrator_unlocks_a_user_for_a_reason(admin_user, sam, sign_in):
    admin = Client()
    admin.force_login(admin_user)
    page, url = f"/admin/auth/user/{sam.pk}/change/", f"/admin/auth/user/{sam.pk}/unlock/"
    assert url not in admin.get(page).text
    fail(sign_in)
    fail(sign_in, 2, REMOTE_ADDR="192.0.2.7")
    assert url in admin.get(page).text
    admin.post(url, {"reason": ""})
    assert sign_in().status_code == 429

    admin.post(url, {"reason": "she called, ticket 4711"})

    assert sign_in().status_code == 302
    entry = AuditEntry.objects.get(action=AuditAction.DID)
    assert (entry.actor, entry.detail, entry.reason) == ("admin", "unlock", "she called, ticket 4711")
    assert entry.object_id == str(sam.pk)
    assert url not in admin.get(page).text
    assert "no wrong password of this user is counted" in admin.post(url, {"reason": "again"}, follow=True).text


def test_to_unlock_needs_the_right_to_change_users(client, sam, sign_in):
    fail(sign_in)
    viewer = User.objects.create_user("vera", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_user"))
    client.force_login(viewer)

    assert "unlock" not in client.get(f"/admin/auth/user/{sam.pk}/change/").text
    assert client.post(f"/admin/auth/user/{sam.pk}/unlock/", {"reason": "ticket 4711"}).status_code == 403
    assert AccessAttempt.objects.exists()


def test_only_a_superuser_unlocks_a_superuser(client, admin_user, sam, sign_in):
    fail(sign_in, name="admin")
    sam.user_permissions.add(Permission.objects.get(codename="change_user"))
    client.force_login(sam)

    answer = client.post(f"/admin/auth/user/{admin_user.pk}/unlock/", {"reason": "ticket 4711"})

    assert answer.status_code == 403
    assert AccessAttempt.objects.exists()


def test_an_administrator_unlocks_a_user_by_command(sam, sign_in, capsys):
    fail(sign_in)

    call_command("axes_reset_username", "sam")

    assert sign_in().status_code == 302


def test_a_name_that_nobody_has_is_locked_with_the_same_words(sam, sign_in):
    known, unknown = fail(sign_in), fail(sign_in, name="nobody")

    assert unknown.status_code == known.status_code == 429
    assert "of this account was wrong 5 times" in unknown.content.decode()


@pytest.mark.parametrize("typed", [PASSWORD, "+447700900001", "447700900001", "sam@example.com"])
def test_what_was_typed_in_place_of_a_user_name_is_kept_nowhere(sam, sign_in, typed, caplog):
    caplog.set_level(logging.DEBUG)
    fail(sign_in, name=typed)

    [attempt] = AccessAttempt.objects.all()
    kept = [attempt.username, attempt.get_data, attempt.post_data, attempt.path_info, caplog.text, str(entries())]
    assert [each for each in kept if typed in each or "sam" in each] == []
    assert attempt.username.startswith("unknown-")
    assert "127.0.0.1" not in caplog.text


def test_neither_the_query_nor_the_fields_of_a_failed_sign_in_are_kept(sam, client):
    for _ in range(2):
        client.post(f"/admin/login/?from={SECRET}", {"username": "sam", "password": "wrong", "passwort": SECRET})

    attempt = AccessAttempt.objects.get()
    assert (attempt.failures_since_start, attempt.get_data, attempt.post_data) == (2, "", "")


def test_the_audit_has_each_wrong_password_until_the_lock(sam, sign_in):
    fail(sign_in, 8)
    fail(sign_in, 1, name="nobody")

    assert entries()[:6] == [
        *[("sam", "sign_in_failed", "wrong password")] * 4,
        ("sam", "sign_in_failed", "wrong password, locked"),
        (entries()[5][0], "sign_in_failed", "unknown user name"),
    ]
    assert len(entries()) == 6


def test_sign_in_and_sign_out_are_in_the_audit(client, sam, sign_in):
    sign_in()
    client.post("/admin/logout/")

    assert entries() == [("sam", "signed_in", ""), ("sam", "signed_out", "")]


def test_a_user_who_is_not_staff_is_refused_like_a_wrong_password(sam, sign_in):
    sam.is_staff = False
    sam.save()

    answer = sign_in()

    assert answer.status_code == 200
    assert entries() == [("sam", "sign_in_failed", "not staff")]


def test_strangers_cannot_fill_the_audit(sign_in, monkeypatch, time_machine):
    monkeypatch.setattr(records, "FAILURES_PER_MINUTE", 3)
    for name in "abcde":
        fail(sign_in, 1, name=name)
    assert AuditEntry.objects.filter(action=AuditAction.SIGN_IN_FAILED).count() == 3

    time_machine.shift(61)
    fail(sign_in, 1, name="f")

    assert AuditEntry.objects.filter(action=AuditAction.SIGN_IN_FAILED).count() == 4
