"""The sign-in in a real browser, and every page of Django's admin under the strict policy."""

from base64 import b32decode

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.admin.sign_in.conftest import PASSWORD, Phone
from tests.support.browser import chromium, soon, until
from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.pages import fits, refused_by_policy, violations

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SIGN_IN, SECOND_FACTOR = "/admin/login/", "/admin/account/second-factor/"


@pytest.fixture(autouse=True)
def _over_http(settings):
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = settings.LANGUAGE_COOKIE_SECURE = False


@pytest.fixture
def sam():
    return User.objects.create_superuser("sam", password=PASSWORD)


@pytest.fixture
def enter(live_server, client, sam):
    """Return a function that signs a browser in."""
    client.force_login(sam)

    def give_cookie(page):
        page.get(f"{live_server.url}{SIGN_IN}")
        page.add_cookie({"name": "sessionid", "value": client.cookies["sessionid"].value, "path": "/"})

    return give_cookie


def focus(page):
    return page.switch_to.active_element


def is_fine(page):
    assert refused_by_policy(page) == []
    assert violations(page) == []
    assert fits(page)


def test_the_second_factor_is_set_up_and_used_with_the_keyboard_alone(live_server, sam):
    with chromium(width=390, dark=True) as page:
        page.get(live_server.url + SIGN_IN)
        is_fine(page)
        focus(page).send_keys("sam", Keys.TAB, PASSWORD, Keys.ENTER)
        soon(page, "details.account summary")
        is_fine(page)
        page.get(live_server.url + SECOND_FACTOR)
        is_fine(page)
        page.find_element(By.LINK_TEXT, "Set up").send_keys(Keys.ENTER)
        [key] = soon(page, ".key")
        is_fine(page)
        phone = Phone(sam)
        phone.key = b32decode(key.text.replace(" ", "")).hex()
        focus(page).send_keys(PASSWORD, Keys.TAB, phone.code(), Keys.ENTER)
        codes = [code.text for code in soon(page, ".codes code")]
        assert len(codes) == 10
        assert page.find_element(By.ID, "download").is_displayed()
        is_fine(page)

        page.find_element(By.CSS_SELECTOR, "details.account summary").send_keys(Keys.ENTER)
        page.find_element(By.CSS_SELECTOR, "#logout-form button").send_keys(Keys.ENTER)
        soon(page, "#login-form")
        [told] = soon(page, ".state[role=status]")
        assert told.text == "You are signed out."
        focus(page).send_keys("sam", Keys.TAB, PASSWORD, Keys.ENTER)
        [other] = soon(page, "a[href$='recovery=1']")
        is_fine(page)
        other.send_keys(Keys.ENTER)
        soon(page, "input[autocapitalize]")
        focus(page).send_keys(codes[0], Keys.ENTER)
        soon(page, "details.account summary")
        page.get(live_server.url + SECOND_FACTOR)
        assert "9 of 10" in page.find_element(By.ID, "content-main").text


def test_a_locked_sign_in_is_explained_on_a_phone(live_server, sam, settings):
    settings.AXES_ENABLED = True
    with chromium(width=390) as page:
        for _ in range(settings.AXES_FAILURE_LIMIT):
            page.get(live_server.url + SIGN_IN)
            focus(page).send_keys("sam", Keys.TAB, "wrong", Keys.ENTER)
            [told] = soon(page, ".state.bad")
        assert "wrong 5 times from your address" in told.text
        assert page.find_element(By.CSS_SELECTOR, "time").get_attribute("title").endswith(" UTC")
        is_fine(page)


def test_the_language_is_chosen_in_the_header(live_server):
    with chromium(width=390) as page:
        page.get(live_server.url + SIGN_IN)
        page.find_element(By.CSS_SELECTOR, "button[lang=de]").click()
        soon(page, "html[lang=de]")
        assert refused_by_policy(page) == []


def test_a_refusal_and_a_missing_page_are_fine_in_the_browser(live_server, enter, sam):
    with chromium(width=390) as page:
        enter(page)
        page.get(f"{live_server.url}/admin/nowhere/")
        is_fine(page)
        User.objects.update(is_superuser=False)
        page.get(f"{live_server.url}/admin/conversations/conversation/")
        assert "conversations.view_conversation" in page.page_source
        is_fine(page)


def test_the_policy_refuses_nothing_on_any_page_of_the_admin(live_server, enter, sam):
    add_numbers(2)
    talk(ALICE, BOB, notify=True)
    with chromium() as page:
        enter(page)
        for model in admin.site._registry:
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            urls = [reverse(f"{name}_changelist")]
            row = model._default_manager.first()
            if row is not None:
                urls += [reverse(f"{name}_{each}", args=[row.pk]) for each in ("change", "history")]
            if model._meta.model_name in ("user", "group", "block", "pool", "service", "virtualnumber", "apikey"):
                urls.append(reverse(f"{name}_add"))
            for url in urls:
                page.get(live_server.url + url)
                assert refused_by_policy(page) == [], url
        page.get(f"{live_server.url}/admin/plan/")
        page.get(f"{live_server.url}/admin/password_change/")
        page.get(f"{live_server.url}/")
        page.get(f"{live_server.url}/api/v1/docs/")
        soon(page, ".opblock")
        assert refused_by_policy(page) == []


def test_the_widgets_of_django_work_under_the_policy(live_server, enter, sam):
    with chromium() as page:
        enter(page)
        page.get(f"{live_server.url}/admin/auth/user/{sam.pk}/change/")
        soon(page, ".datetimeshortcuts a")[0].click()
        soon(page, ".calendarbox")
        page.find_elements(By.CSS_SELECTOR, ".selector-chooseall")[0].click()
        page.find_element(By.CSS_SELECTOR, ".theme-toggle").click()
        assert refused_by_policy(page) == []
        page.find_element(By.ID, "add_id_groups").click()
        until(page, lambda: len(page.window_handles) == 2)
        first, popup = page.window_handles
        page.switch_to.window(popup)
        soon(page, "#id_name")[0].send_keys("Rooms", Keys.ENTER)
        until(page, lambda: len(page.window_handles) == 1)
        page.switch_to.window(first)
        assert "Rooms" in page.find_element(By.ID, "id_groups_to").text
        page.get(f"{live_server.url}/admin/auth/user/?is_staff__exact=1")
        page.find_element(By.ID, "action-toggle").click()
        assert refused_by_policy(page) == []
