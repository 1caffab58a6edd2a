"""The inbox in a real browser: a day's work by keyboard, at the width of a phone, in light and dark."""

import pytest
from selenium.webdriver.common.keys import Keys

from conversations.intake.receive import receive
from conversations.models import InboxItem, OutboundMessage
from smsproxy.carriers.base import InboundText
from tests.support.browser import chromium, soon
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, proxies, talk
from tests.support.inbox import WORDS, free_number, lost_text, perhaps_sent, relays_of, unreadable_webhook
from tests.support.pages import fits, keep, violations

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]

INBOX = "/admin/inbox/"


@pytest.fixture
def waiting(conversation):
    """Everything that can wait, one of it taken by somebody else."""
    other = talk(BOB, CHARLIE, reference="order-18")
    receive(InboundText(carrier_message_id="first", sender=ALICE, recipient=proxies(conversation)[0], text="hello"))
    number = free_number(conversation)
    perhaps_sent(conversation)
    other.hold(reason="a loop: two machines repeat long texts", actor="")
    lost_text(STRANGER, number, "Who are you?")
    lost_text(STRANGER, number, "Hello?")
    taken = unreadable_webhook()
    InboxItem.objects.take(taken, since=taken.received_at, actor="kim")
    return lost_text(ALICE, number)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1200])
def test_its_pages_are_accessible_and_fit_a_phone(browse, waiting, conversation, width, dark):
    with chromium(width=width, height=900, dark=dark) as browser:
        browse(browser, INBOX)
        for path in (
            "",
            f"text/{waiting.pk}/",
            f"text/{waiting.pk}/attach/",
            f"text/{waiting.pk}/answer/",
            f"text/{waiting.pk}/block/",
            "?who=mine&kind=hold",
        ):
            browser.get(browser.current_url.split("/admin/")[0] + INBOX + path)
            assert fits(browser), path
            assert violations(browser) == [], path


def test_support_takes_a_text_reads_it_and_passes_it_on_by_keyboard(browse, waiting):
    def press(selector, words):
        """Press Enter on the element of the first card with these words."""
        [found, *_] = [each for each in soon(browser, selector) if words in each.text]
        found.send_keys(Keys.ENTER)

    def give_reason():
        soon(browser, "#id_reason")[0].send_keys("ticket 4711", Keys.ENTER)

    with chromium() as browser:
        browse(browser, INBOX)
        press(".inbox-card button", "Take")
        assert "It is yours now." in soon(browser, ".messagelist .success")[0].text
        press(".inbox-card a.button", "Show the text")
        give_reason()
        assert soon(browser, ".inbox-words")[0].text == WORDS
        keep(browser, "inbox-revealed")
        press(".inbox-card a.button.default", "Pass on in order-17")
        give_reason()
        assert "Passed on in order-17: 1." in soon(browser, ".messagelist .success")[0].text

    assert relays_of(waiting) == [f"Bob: {WORDS}"]


def test_support_answers_a_stranger_after_a_look_at_the_price(browse, waiting):
    with chromium(width=390, height=844) as browser:
        browse(browser, f"{INBOX}?kind=text&who=free&order=oldest")
        [answer, *_] = [each for each in soon(browser, ".inbox-card a.button.default") if "Answer" in each.text]
        answer.send_keys(Keys.ENTER)
        soon(browser, "#id_text")[0].send_keys("This is the service. Please call us.")
        soon(browser, "#id_reason")[0].send_keys("ticket 4711", Keys.ENTER)
        assert "It takes 1 SMS, about EUR 0.07." in soon(browser, ".inbox-preview")[0].text
        keep(browser, "inbox-answer")
        assert violations(browser) == []
        soon(browser, ".submit-row input[value='Send it']")[0].send_keys(Keys.ENTER)
        assert "Your answer is queued." in soon(browser, ".messagelist .success")[0].text

    assert OutboundMessage.objects.latest("pk").text == "This is the service. Please call us."
