"""Staff reveal a number by keyboard, and auditors read the audit on a phone, in a real browser."""

import pytest
from selenium.webdriver.common.keys import Keys

from tests.support.browser import chromium, soon, soon_at
from tests.support.pages import fits, keep, violations
from tests.support.populated import populate

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("browser"),
]

AUDIT = "/admin/staff/auditentry/"


@pytest.fixture
def populated(carrier):
    return populate()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1200, 390])
def test_the_pages_of_the_audit_are_accessible(browse, populated, width, dark):
    pages = [
        AUDIT,
        f"{AUDIT}?person={populated.alice.pk}",
        f"{AUDIT}?since=nonsense",
        f"{AUDIT}?who=nobody",
        f"/admin/conversations/conversation/{populated.conversation.pk}/history/",
    ]
    with chromium(width=width, dark=dark) as browser:
        found = {}
        for page in pages:
            browse(browser, page)
            keep(browser, f"auditor-{pages.index(page)}-{width}-{'dark' if dark else 'light'}")
            found[page] = [*violations(browser), *([] if fits(browser) else ["wide"])]

    assert {page: each for page, each in found.items() if each} == {}


def test_a_number_is_shown_and_hidden_with_the_keyboard_alone(browse, populated):
    page = f"/admin/numbers/realnumber/{populated.alice.pk}/change/"
    with chromium(width=390) as browser:
        browse(browser, page)
        assert populated.alice.number not in browser.page_source
        soon(browser, ".reveal a.button")[0].send_keys(Keys.ENTER)
        soon(browser, "input[name=reason]")[0].send_keys("ticket 4711", Keys.ENTER)
        soon_at(browser, page)
        [hide] = soon(browser, ".reveal button")
        assert populated.alice.number in browser.page_source
        hide.send_keys(Keys.ENTER)
        soon(browser, ".reveal a.button")
        assert populated.alice.number not in browser.page_source
