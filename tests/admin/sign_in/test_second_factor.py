"""The second factor: set up, asked for, replaced by a recovery code, removed."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from smsproxy.sign_in import second_factor
from smsproxy.staff.models import AuditEntry
from tests.admin.sign_in.conftest import PASSWORD
from tests.support.concurrency import wait_for_a_lock

SET_UP, OVERVIEW, CODE = "/admin/account/second-factor/set-up/", "/admin/account/second-factor/", "/admin/login/code/"

pytestmark = pytest.mark.django_db


def is_signed_in(client):
    return client.get(OVERVIEW).status_code == 200


def details():
    return list(AuditEntry.objects.order_by("pk").values_list("action", "detail"))


def in_thread(work, *arguments):
    try:
        return work(*arguments)
    finally:
        connection.close()


def set_up_in_browser(client, phone):
    """Do as the page says. Return the recovery codes that it shows."""
    client.get(SET_UP)
    phone.key = client.session["second_factor_key"]
    answer = client.post(SET_UP, {"password": PASSWORD, "code": phone.code()})
    return re.findall(r"<code>(\w{5}-\w{5})</code>", answer.content.decode())


# Setting up -----------------------------------------------------------------------------------------------------------


def test_the_page_shows_the_key_as_a_drawing_and_as_text(client, sam):
    client.force_login(sam)

    page = client.get(SET_UP).content.decode()

    key = second_factor.readable_key(client.session["second_factor_key"])
    assert key in page
    assert re.search(r'<svg class="qr" role="img" aria-label="[^"]+"', page)
    assert not TOTPDevice.objects.exists()


def test_the_first_code_sets_it_up_and_shows_ten_recovery_codes_once(client, sam, phone):
    client.force_login(sam)

    codes = set_up_in_browser(client, phone)

    assert len(set(codes)) == 10
    assert "10 of 10" in client.get(OVERVIEW).content.decode()
    assert codes[0] not in client.get(OVERVIEW).content.decode()
    assert details() == [("did", "set up the second factor")]


def test_a_wrong_code_sets_nothing_up(client, sam):
    client.force_login(sam)
    client.get(SET_UP)

    answer = client.post(SET_UP, {"password": PASSWORD, "code": "000000"})

    assert "The code is wrong" in answer.content.decode()
    assert not TOTPDevice.objects.exists()


@pytest.mark.parametrize("typed", [{}, {"password": "a guess"}])
def test_a_session_without_the_password_sets_nothing_up(client, sam, phone, typed):
    client.force_login(sam)
    client.get(SET_UP)
    phone.key = client.session["second_factor_key"]

    client.post(SET_UP, {"code": phone.code(), **typed})

    assert not TOTPDevice.objects.exists()


def test_recovery_codes_are_stored_as_hashes(sam, phone):
    codes = phone.set_up()

    stored = set(StaticToken.objects.values_list("token", flat=True))
    assert len(stored) == 10
    assert not stored & {code.replace("-", "") for code in codes}


def test_setting_it_up_ends_the_other_sessions_of_the_user_only(client, sam, phone):
    ann = User.objects.create_user("ann", is_staff=True)
    other, of_ann = Client(), Client()
    other.force_login(sam)
    of_ann.force_login(ann)
    client.force_login(sam)

    set_up_in_browser(client, phone)

    assert [is_signed_in(each) for each in (client, other, of_ann)] == [True, False, True]


# Signing in -----------------------------------------------------------------------------------------------------------


def test_the_password_alone_does_not_sign_in(client, phone, sign_in):
    phone.set_up()

    assert sign_in().url == CODE
    assert not is_signed_in(client)
    assert details() == []


def test_password_and_code_sign_in_with_a_new_session(client, phone, sign_in, time_machine):
    phone.set_up()
    time_machine.shift(60)
    sign_in()
    before = client.session.session_key

    assert client.post(CODE, {"code": phone.code()}).url == "/admin/"

    assert is_signed_in(client)
    assert client.session.session_key != before
    assert details() == [("signed_in", "with the second factor")]


def test_the_page_that_was_asked_for_is_shown_after_both_steps(client, phone, time_machine):
    phone.set_up()
    time_machine.shift(60)
    client.post("/admin/login/", {"username": "sam", "password": PASSWORD, "next": OVERVIEW})

    assert client.post(CODE, {"code": phone.code()}).url == OVERVIEW


def test_no_other_site_is_led_to(client, sam):
    data = {"username": "sam", "password": PASSWORD, "next": "https://evil.example/"}

    assert client.post("/admin/login/", data).url == "/admin/"


def test_a_code_works_once(client, phone, sign_in, time_machine):
    phone.set_up()
    time_machine.shift(60)
    code = phone.code()
    sign_in()
    client.post(CODE, {"code": code})
    client.post("/admin/logout/")
    sign_in()

    assert "used already" in client.post(CODE, {"code": code}).content.decode()
    assert details()[-1] == ("sign_in_failed", "wrong code")


def test_wrong_codes_have_to_wait_longer_each_time(client, phone, sign_in, time_machine):
    phone.set_up()
    time_machine.shift(60)
    sign_in()
    for seconds in (1, 2, 4):
        client.post(CODE, {"code": "000000"})
        assert f"Wait {seconds} seconds" in client.post(CODE, {"code": phone.code()}).content.decode()
        time_machine.shift(seconds + 1)

    assert client.post(CODE, {"code": phone.code()}).status_code == 302


def test_the_second_step_must_follow_within_five_minutes(client, phone, sign_in, time_machine):
    phone.set_up()
    sign_in()
    time_machine.shift(301)

    assert client.post(CODE, {"code": phone.code()}).url == "/admin/login/?ended=late"
    assert "took too long" in client.get("/admin/login/?ended=late").content.decode()


def test_the_second_step_alone_does_nothing(client, phone):
    phone.set_up()

    assert client.post(CODE, {"code": phone.code()}).status_code == 302
    assert not is_signed_in(client)


def test_a_password_changed_between_the_steps_ends_them(client, sam, phone, sign_in, time_machine):
    phone.set_up()
    time_machine.shift(60)
    sign_in()
    sam.set_password("another one")
    sam.save()

    client.post(CODE, {"code": phone.code()})

    assert not is_signed_in(client)


def test_a_recovery_code_signs_in_once(client, phone, sign_in, time_machine):
    first, second, *_ = phone.set_up()
    sign_in()
    assert client.post(f"{CODE}?recovery=1", {"code": f" {first.upper()} "}).status_code == 302
    assert is_signed_in(client)
    assert details() == [("signed_in", "with a recovery code, 9 left")]
    client.post("/admin/logout/")
    sign_in()

    assert "Each works only once" in client.post(f"{CODE}?recovery=1", {"code": first}).content.decode()
    time_machine.shift(2)
    assert client.post(f"{CODE}?recovery=1", {"code": second}).status_code == 302


def test_a_recovery_code_in_the_field_of_the_app_signs_in_too(client, phone, sign_in, time_machine):
    code = phone.set_up()[0]
    sign_in()
    assert "No such code is left" in client.post(CODE, {"code": "aaaaa-aaaaa"}).text
    time_machine.shift(2)

    assert client.post(CODE, {"code": code}).status_code == 302
    assert details()[-1] == ("signed_in", "with a recovery code, 9 left")


# Changing and removing ------------------------------------------------------------------------------------------------


@pytest.fixture
def signed_in(client, sam, phone):
    """Return a client of Sam, who has a second factor."""
    client.force_login(sam)
    set_up_in_browser(client, phone)
    return client


def change(client, name, password=PASSWORD):
    return client.post(f"{OVERVIEW}{name}/", {"password": password})


def test_new_recovery_codes_replace_the_old_ones(signed_in, sam):
    before = set(StaticToken.objects.values_list("token", flat=True))

    codes = re.findall(r"<code>(\w{5}-\w{5})</code>", change(signed_in, "renew").content.decode())

    assert len(codes) == 10
    assert not before & set(StaticToken.objects.values_list("token", flat=True))
    assert details()[-1] == ("did", "made new recovery codes")


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_new_recovery_codes_asked_for_twice_at_once_are_one_set(sam, phone, time_machine):
    phone.set_up()
    StaticDevice.objects.all().delete()
    with ThreadPoolExecutor(2) as both:
        with transaction.atomic():
            User.objects.select_for_update().get(pk=sam.pk)
            asked = [both.submit(in_thread, second_factor.renew_codes, sam) for _ in range(2)]
            wait_for_a_lock(2)
        pages = [each.result() for each in asked]

    assert second_factor.codes_left(sam) == 10
    is_accepted = []
    for codes in pages:
        is_accepted.append(second_factor.use_recovery_code(sam, codes[0]))
        time_machine.shift(2)
    assert is_accepted.count(True) == 1


@pytest.mark.parametrize("name", ["renew", "replace", "remove"])
def test_each_change_asks_for_the_password(signed_in, sam, phone, name):
    answer = change(signed_in, name, "wrong")

    assert "The password is wrong" in answer.content.decode()
    assert TOTPDevice.objects.get().key == phone.key
    assert signed_in.get(SET_UP).status_code == 302


def test_another_app_takes_the_place_of_the_first(signed_in, sam, phone, time_machine):
    first = phone.key
    assert change(signed_in, "replace").url == SET_UP

    set_up_in_browser(signed_in, phone)

    assert TOTPDevice.objects.get().key == phone.key != first
    assert is_signed_in(signed_in)


def test_an_optional_second_factor_can_be_removed(signed_in, sam):
    answer = signed_in.post(f"{OVERVIEW}remove/", {"password": PASSWORD}, follow=True)

    assert "Your password alone signs you in" in answer.content.decode()
    assert second_factor.device_of(sam) is None
    assert details()[-1] == ("did", "removed the own second factor")


def test_a_required_second_factor_cannot_be_removed(signed_in, sam, settings):
    settings.STAFF_TWO_FACTOR = "required"

    answer = signed_in.post(f"{OVERVIEW}remove/", {"password": PASSWORD}, follow=True)

    assert "Nothing was removed" in answer.content.decode()
    assert second_factor.device_of(sam)


# Required -------------------------------------------------------------------------------------------------------------


def test_where_it_is_required_staff_see_only_the_set_up_page_until_it_is_done(client, sam, phone, settings):
    settings.STAFF_TWO_FACTOR = "required"
    client.force_login(sam)
    for path in ("/admin/", OVERVIEW, "/admin/conversations/conversation/", "/admin/password_change/"):
        assert client.get(path).url == SET_UP

    set_up_in_browser(client, phone)

    assert client.get("/admin/").status_code == 200


def test_where_it_is_required_a_session_without_it_ends(client, sam, phone, settings):
    settings.STAFF_TWO_FACTOR = "required"
    client.force_login(sam)
    phone.set_up()

    assert client.get("/admin/").url == "/admin/login/?ended=code&next=%2Fadmin%2F"
    assert "has a second factor now" in client.get("/admin/login/?ended=code").content.decode()


# Removed by others ----------------------------------------------------------------------------------------------------


def test_an_administrator_removes_the_second_factor_of_a_user_for_a_reason(admin_client, client, sam, phone):
    client = Client()
    client.force_login(sam)
    set_up_in_browser(client, phone)
    url = f"/admin/auth/user/{sam.pk}/remove-second-factor/"
    assert url in admin_client.get(f"/admin/auth/user/{sam.pk}/change/").content.decode()

    admin_client.post(url, {"reason": "lost the phone"})

    entry = AuditEntry.objects.first()
    assert (entry.actor, entry.detail, entry.reason) == ("admin", "remove_second_factor", "lost the phone")
    assert second_factor.device_of(sam) is None
    assert not is_signed_in(client)


def test_only_a_superuser_removes_that_of_a_superuser(client, sam, admin_user):
    sam.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "delete_totpdevice"]))
    client.force_login(sam)

    answer = client.get(f"/admin/auth/user/{admin_user.pk}/remove-second-factor/")

    assert answer.status_code == 403
    assert "Only a superuser" in answer.content.decode()


def test_the_last_administrator_is_let_in_by_command(sam, phone, sign_in, capsys):
    phone.set_up()

    call_command("remove_second_factor", "sam")

    assert "is removed" in capsys.readouterr().out
    assert sign_in().url == "/admin/"
    assert details()[0] == ("did", "remove_second_factor")
    for name, says in (("sam", "has no second factor"), ("ann", "No user is named ann")):
        with pytest.raises(CommandError, match=says):
            call_command("remove_second_factor", name)


def test_no_page_shows_the_key_of_an_app_that_is_set_up(admin_client, sam, phone):
    phone.set_up()
    pages = [f"/admin/auth/user/{sam.pk}/change/", "/admin/auth/user/", "/admin/otp_totp/totpdevice/"]

    assert [page for page in pages if phone.key in admin_client.get(page).content.decode()] == []
    assert admin_client.get(pages[2]).status_code == 404
