"""The support's day: a complaint is found, read and settled in a browser, with the keyboard alone and on a phone."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

from conversations.models import Conversation, OutboundMessage
from smsproxy.staff.models import AuditEntry
from tests.support.browser import SECONDS, chromium, soon
from tests.support.pages import fits, keep, violations
from tests.support.threads import HELLO, LOST, busy_thread

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WHY = "ticket 4711"


def leave(page, by, what):
    """Click this, and wait until the page is gone."""
    old = page.find_element(By.TAG_NAME, "html")
    page.find_element(by, what).click()
    WebDriverWait(page, SECONDS).until(staleness_of(old))


def click(page, words):
    leave(page, By.LINK_TEXT, words)


def give_reason(page):
    soon(page, "input[name=reason]")[0].send_keys(WHY)
    leave(page, By.CSS_SELECTOR, ".submit-row input")


def success(page):
    return soon(page, ".messagelist .success")[0].text


def words(page):
    return page.find_element(By.CSS_SELECTOR, "ol.thread").text


def test_a_complaint_is_found_read_and_settled(browse, carrier):
    conversation = busy_thread(carrier)
    with chromium() as page:
        browse(page, "/admin/")
        click(page, "Conversations")
        [search] = soon(page, "#searchbar")
        search.send_keys("order-17", Keys.ENTER)
        soon(page, "#result_list")
        click(page, "order-17")

        soon(page, ".thread-bar .reveal a")
        assert HELLO not in page.page_source
        click(page, "Show the texts")
        give_reason(page)
        assert "Shown to you for 15 minutes" in success(page)
        assert HELLO in words(page)
        keep(page, "support-thread")

        click(page, "Send again")
        give_reason(page)
        assert success(page) == "The text is sent again. It may arrive twice."
        assert f"{LOST}\n◷ waits since" in words(page)

        page.find_element(By.NAME, "text").send_keys("She was kind.")
        leave(page, By.CSS_SELECTOR, ".note-form button")
        assert success(page) == "The note is added."
        assert "She was kind." in words(page)

        click(page, "Close for good")
        give_reason(page)
        assert "closed for good" in success(page)
        keep(page, "support-closed")
        assert f"Closed: {WHY} · by admin" in words(page)
        log = page.get_log("browser")

    assert [entry for entry in log if "favicon" not in entry["message"] and entry["level"] == "SEVERE"] == []
    assert Conversation.objects.get(pk=conversation.pk).state == "closed"
    assert not OutboundMessage.objects.filter(state="unknown").exists()
    done = AuditEntry.objects.filter(action="did").order_by("pk").values_list("detail", flat=True)
    assert list(done) == ["resend", "note", "close"]


def test_a_text_to_everybody_is_previewed_and_sent(browse, carrier):
    conversation = busy_thread(carrier)
    with chromium() as page:
        browse(page, f"/admin/conversations/conversation/{conversation.pk}/change/")
        click(page, "Text everybody")
        soon(page, "textarea[name=text]")[0].send_keys("Your driver\nis here.")
        give_reason(page)
        [preview] = soon(page, ".text-preview")
        assert "Your driver\nis here." in preview.text
        assert "1 SMS for each person" in preview.text
        keep(page, "support-text-everybody")
        leave(page, By.CSS_SELECTOR, ".submit-row input")
        assert success(page) == "The text is on its way to the participants."
        assert "Service, by admin → Alice, Bob" in words(page)

    assert set(OutboundMessage.objects.filter(kind="api").values_list("state", flat=True)) == {"queued"}


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (390, False), (390, True)])
def test_the_page_is_accessible_in_each_width_and_theme(browse, carrier, width, dark):
    conversation = busy_thread(carrier)
    page_of = f"/admin/conversations/conversation/{conversation.pk}/"
    with chromium(width=width, dark=dark) as page:
        for address in ("change/", "act/text/", "act/extend/", "block/1/"):
            browse(page, page_of + address)
            soon(page, "#content-main")
            assert fits(page), address
            assert violations(page, within="#content") == [], address
