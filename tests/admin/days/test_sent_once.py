"""A form is sent once, however often it is clicked."""

import pytest
from selenium.webdriver.common.by import By

from smsproxy.staff.groups import SUPPORT
from tests.support.browser import soon
from tests.support.desk import Desk

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Clicks twice, and stays on the page. Returns whether each submission was refused before it came to us.
TWICE = """
const refused = [];
window.addEventListener("submit", (event) => {
  refused.push(event.defaultPrevented);
  event.preventDefault();
});
arguments[0].click();
arguments[0].click();
return refused;
"""


def test_a_double_click_sends_a_form_once(enter, page, site):
    desk = Desk(enter(SUPPORT), "support")
    desk.find("order-17")
    [field] = soon(page, "textarea[name=text]")
    field.send_keys("They have called us.")
    button = field.find_element(By.XPATH, "ancestor::form//button")

    assert page.execute_script(TWICE, button) == [False, True]
