"""A day of trust & safety, with the keyboard alone: a caller is found, shown and blocked, a hold is released."""

import pytest

from conversations.models import Block, Conversation
from smsproxy.staff.groups import TRUST
from smsproxy.staff.models import AuditEntry
from tests.support.browser import show_as
from tests.support.builders import ALICE
from tests.support.desk import Desk
from tests.support.pages import refused_by_policy

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_day_of_trust_and_safety(enter, page, site):
    show_as(page, dark=True)
    site.alice.opt_out(reason="texted STOP")
    desk = Desk(enter(TRUST, "tina"), "trust", by_keyboard=True)

    desk.begin()
    desk.find("07700 900001")
    assert desk.took() == (1, 1)
    assert ALICE not in page.page_source + page.current_url
    assert "order-17" in desk.shown()
    desk.picture("person")
    desk.click("Show the number in full")
    desk.give_reason()
    assert ALICE in desk.shown()
    desk.picture("number-shown")
    desk.click("Hide now")
    assert ALICE not in page.page_source

    desk.click("Block this person")
    desk.picture("block")
    desk.give_reason("threats")
    assert "is blocked" in desk.told()
    assert Block.objects.active().get().reason == "threats"
    desk.click("End the block")
    desk.give_reason()
    desk.click("End the opt-out")
    desk.give_reason("asked us on the phone")
    assert "Receives messages." in desk.shown()
    desk.picture("person-again")

    desk.find("order-17")
    desk.click("Put on hold")
    desk.give_reason()
    assert "On hold" in desk.shown()
    desk.click("Conversations", within=".doors")
    desk.picture("conversations")
    desk.click("order-18")
    desk.click("Release the hold")
    desk.give_reason("they have switched it off")
    desk.picture("released")

    assert refused_by_policy(page) == []
    held = Conversation.objects.filter(held_at__isnull=False).values_list("reference", flat=True)
    assert list(held) == ["order-17"]
    site.alice.refresh_from_db()
    assert site.alice.opted_out_at is None
    did = AuditEntry.objects.filter(action="did").order_by("pk").values_list("reason", flat=True)
    assert list(did) == ["threats", "ticket 4711", "asked us on the phone", "ticket 4711", "they have switched it off"]
