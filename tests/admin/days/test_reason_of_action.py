"""The browser asks the reason of a list's action, so that the choice and the ticked rows stay."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from conversations.models import Conversation
from smsproxy.staff.groups import SUPPORT
from smsproxy.staff.models import AuditEntry
from tests.support.browser import soon

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_an_action_without_a_reason_keeps_what_was_chosen(enter, page, site):
    enter(SUPPORT, address="/admin/conversations/conversation/?state__exact=open&held_at__isempty=1")
    held = Conversation.objects.filter(held_at__isnull=False).count()
    [row, *_] = soon(page, "input.action-select")
    row.click()
    choice = Select(page.find_element(By.NAME, "action"))
    choice.select_by_value("hold")
    page.find_element(By.CSS_SELECTOR, ".actions button[type=submit]").click()

    reason = page.find_element(By.NAME, "reason")
    assert page.execute_script("return arguments[0].validity.valueMissing", reason)
    assert row.is_selected()
    assert choice.first_selected_option.get_attribute("value") == "hold"
    assert not AuditEntry.objects.filter(action="did").exists()

    reason.send_keys("ticket 4711")
    page.find_element(By.CSS_SELECTOR, ".actions button[type=submit]").click()

    soon(page, ".messagelist .success")
    assert Conversation.objects.filter(held_at__isnull=False).count() == held + 1
    assert AuditEntry.objects.get(action="did").reason == "ticket 4711"
