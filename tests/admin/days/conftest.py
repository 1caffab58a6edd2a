"""A site on a working day, a browser for all tests of the room, and members of the groups in it."""

import pytest
from django.apps import apps
from django.test import Client

from smsproxy.staff.groups import make_groups
from tests.support.browser import chromium, show_as
from tests.support.staffed_site import member, open_site


@pytest.fixture(scope="module")
def chrome():
    with chromium() as page:
        yield page


@pytest.fixture
def page(chrome):
    """Return the browser, signed out, as wide as a desk's and light."""
    show_as(chrome)
    chrome.delete_all_cookies()
    chrome.get_log("browser")
    return chrome


@pytest.fixture
def site(rentals, settings):
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = settings.LANGUAGE_COOKIE_SECURE = False
    settings.HEALTH_MIN_RECEIPTS = 10
    settings.DAILY_BUDGET = 20
    make_groups(apps)  # The test before this one has emptied the tables.
    return open_site(rentals)


@pytest.fixture
def enter(page, site, live_server, settings):
    """Return a function that opens a page as a new member of the group, already signed in."""

    def enter(group, name="sam", address="/admin/"):
        client = Client()
        client.force_login(member(group, name))
        page.get(f"{live_server.url}/admin/login/")
        page.add_cookie({"name": "sessionid", "value": client.cookies["sessionid"].value, "path": "/"})
        page.get(live_server.url + address)
        return page

    return enter
