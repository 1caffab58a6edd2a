"""A day of support: a complaint is found, read and settled, and the inbox is worked."""

import pytest

from conversations.models import Conversation, OutboundMessage
from smsproxy.staff.groups import SUPPORT
from smsproxy.staff.models import AuditEntry
from tests.support.desk import Desk
from tests.support.inbox import WORDS, relays_of
from tests.support.pages import refused_by_policy
from tests.support.staffed_site import PASSWORD, member
from tests.support.threads import HELLO, LOST

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_day_of_support(page, site, live_server):
    member(SUPPORT, "sue")
    desk = Desk(page, "support")
    page.get(f"{live_server.url}/admin/")
    desk.fill("sue", "#id_username")
    desk.enter(PASSWORD, "#id_password")
    assert "Pauses" not in desk.shown()
    desk.picture("home")

    work_the_inbox(desk, site)
    settle_the_complaint(desk)

    assert refused_by_policy(page) == []
    assert Conversation.objects.get(pk=site.thread.pk).state == "closed"
    did = AuditEntry.objects.filter(action="did").order_by("pk").values_list("detail", flat=True)
    assert list(did) == ["take", "attach", "answer", "resend", "note", "text", "close"]
    assert relays_of(site.lost) == [f"Bob: {WORDS}"]
    assert "This is the service. Please call us." in [each.text for each in OutboundMessage.objects.order_by("-pk")[:9]]


def settle_the_complaint(desk):
    desk.begin()
    desk.find("order-17")
    assert HELLO not in desk.page.page_source
    desk.picture("thread-covered")
    desk.click("Show the texts")
    desk.picture("reveal")
    desk.give_reason()
    assert desk.took() == (3, 3)
    assert "Shown to you for 15 minutes" in desk.told()
    assert HELLO in desk.shown()
    desk.picture("thread-shown")

    desk.click("Send again", within=".thread")
    desk.give_reason()
    assert desk.told() == "The text is sent again. It may arrive twice."
    assert f"{LOST}\n◷ waits since" in desk.shown()

    desk.fill("She was kind.", "#id_text")
    desk.click("Add the note")
    assert "She was kind." in desk.shown()

    desk.click("Text everybody")
    desk.fill("Your driver is here.", "#id_text")
    desk.give_reason()
    assert "1 SMS for each person" in desk.shown()
    desk.picture("text-everybody")
    desk.click("Send it")
    assert desk.told() == "The text is on its way to the participants."
    assert "Service, by sue → Alice, Bob" in desk.shown()

    desk.click("Close for good")
    desk.picture("close")
    desk.give_reason()
    assert "Closed: ticket 4711 · by sue" in desk.shown()
    desk.picture("thread-closed")


def work_the_inbox(desk, site):
    desk.begin()
    desk.click("Inbox", within=".doors")
    desk.picture("inbox")
    lost = f"#text-{site.lost.pk}"
    desk.click("Take", within=lost)
    desk.click("Show the text", within=lost)
    desk.give_reason()
    assert WORDS in desk.shown()
    desk.picture("inbox-shown")
    desk.click("Pass on in order-17", within=lost)
    desk.give_reason()
    assert desk.took() == (6, 6)
    assert "Passed on in order-17: 1." in desk.told()

    desk.click("Answer", within=".inbox-card")
    desk.fill("This is the service. Please call us.", "#id_text")
    desk.give_reason()
    assert "It takes 1 SMS, about EUR 0.07." in desk.shown()
    desk.picture("answer")
    desk.click("Send it")
    assert "Your answer is queued." in desk.told()
