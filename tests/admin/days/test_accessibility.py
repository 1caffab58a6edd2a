"""Every main page is accessible: axe-core in both themes and widths, no sideways scrolling, the keyboard alone."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from selenium.webdriver.common.keys import Keys

from conversations.models import OutboundMessage
from numbers.models import NumberOrder
from smsproxy.database.clock import database_now
from smsproxy.staff.groups import AUDITOR, SUPPORT
from smsproxy.staff.models import Reveal, RevealKind
from tests.support.browser import show_as, soon
from tests.support.pages import fits, refused_by_policy, violations
from tests.support.screenshots import screenshot

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# A page is read whole in each width, and its colours in each theme.
LOOKS = ((1200, False, None), (1200, True, "color-contrast"), (390, True, None), (390, False, "color-contrast"))
# Faults of Django's own lists and forms: the icon that labels the search, columns without a title, a tip of a widget.
OF_DJANGO = ("label-title-only", "empty-table-header", "aria-prohibited-attr")
OFFERS = "?country=GB&count=2&type=&pattern=&pattern_place=anywhere&pool="


def pages_of(site):
    """Return the address of each page by the name of its picture."""
    conversation = f"/admin/conversations/conversation/{site.thread.pk}"
    person, number = site.alice.pk, site.failing.pk
    order = NumberOrder.objects.create(country="GB", count=2, features="SMS", pattern_place="anywhere")
    unknown = OutboundMessage.objects.filter(state="unknown").earliest("pk").pk
    lost = f"/admin/inbox/text/{site.lost.pk}"
    return {
        "home": "/admin/",
        "technical": "/admin/technical/",
        "send-again": "/admin/home/account/resume/",
        "find": "/admin/find/?q=order",
        "find-nothing": "/admin/find/?q=%2B447700900077",
        "find-a-caller": "/admin/numbers/realnumber/find/",
        "person": f"/admin/numbers/realnumber/{person}/change/",
        "block": f"/admin/conversations/block/person/{person}/",
        "conversations": "/admin/conversations/conversation/",
        "conversations-none": "/admin/conversations/conversation/?q=nothing",
        "thread": f"{conversation}/change/",
        "text-everybody": f"{conversation}/act/text/",
        "history": f"{conversation}/history/",
        "reveal": f"/admin/reveal/texts/{site.thread.pk}/",
        "inbox": "/admin/inbox/",
        "inbox-texts": f"{lost}/",
        "attach": f"{lost}/attach/",
        "pool": "/admin/pool/",
        "number": f"/admin/numbers/virtualnumber/{number}/change/",
        "replace": f"/admin/pool/numbers/{number}/replace/",
        "offers": f"/admin/pool/buy/{OFFERS}",
        "order": f"/admin/pool/orders/{order.pk}/",
        "plan": "/admin/plan/",
        "audit": "/admin/staff/auditentry/",
        "audit-refused": "/admin/staff/auditentry/?since=nonsense",
        "second-factor": "/admin/account/second-factor/",
        "messages": "/admin/conversations/outboundmessage/",
        "message": f"/admin/conversations/outboundmessage/{unknown}/change/",
        "user": f"/admin/auth/user/{User.objects.earliest('pk').pk}/change/",
        "phones": "/",
    }


class Reader:
    """Looks at pages, and keeps the faults of each look."""

    def __init__(self, page, url):
        self.page = page
        self.url = url
        self.faults = []

    def look_at(self, name, address):
        self.page.get(self.url + address)
        soon(self.page, "main, #content-main, #login-form")
        self.faults += [f"{name}: {each}" for each in refused_by_policy(self.page)]
        for width, dark, rule in LOOKS:
            look = f"{name}-{width}-{'dark' if dark else 'light'}"
            show_as(self.page, width=width, dark=dark)
            found = violations(self.page, rule=rule)
            found = [each for each in found if not each.startswith(OF_DJANGO)]
            if not fits(self.page):
                found.append("it is wider than the window")
            self.faults += [f"{look}: {each}" for each in found]
            if rule is None:
                screenshot(self.page, f"page-{look}")
        self.page.get_log("browser")  # axe-core tries styles that the policy refuses.


def test_every_main_page_is_accessible_in_each_width_and_theme(enter, page, site, live_server):
    reader = Reader(page, live_server.url)
    reader.look_at("sign-in", "/admin/login/")
    enter(AUDITOR, "ann")
    reader.look_at("refusal", "/admin/pool/buy/")
    enter(SUPPORT, "sam")
    User.objects.filter(username="sam").update(is_superuser=True)
    for name, address in pages_of(site).items():
        reader.look_at(name, address)
    sam = User.objects.get(username="sam")
    until = database_now() + timedelta(minutes=9)
    Reveal.objects.create(user=sam, kind=RevealKind.TEXTS, object_id=site.thread.pk, reason="ticket 4711", until=until)
    reader.look_at("thread-shown", f"/admin/conversations/conversation/{site.thread.pk}/change/")

    assert reader.faults == []


CONTROLS = {
    "/admin/": ("Conversations", "Inbox", "Find by reference", "Find a caller", "Send again now"),
    "/admin/inbox/": ("Everything", "Take", "Show the text", "Pass on in order-17", "Block the sender"),
    "/admin/pool/": ("Buy numbers", "Number", "Show", "+447700900"),
    "/admin/conversations/conversation/{}/change/": ("Block", "Text everybody", "Close for good", "Show the texts"),
    "/admin/staff/auditentry/": ("Who", "Since", "Show"),
}
MOST = 70  # stops of the Tab key
# In a date, the browser marks the day, the month or the year.
IS_SEEN = """
const focused = document.activeElement, {outlineStyle, outlineWidth} = getComputedStyle(focused);
return focused.type === "date" || outlineStyle !== "none" && parseFloat(outlineWidth) >= 1;
"""


def test_the_main_controls_are_reached_by_tab_with_a_visible_focus(enter, page, site, live_server):
    enter(SUPPORT, "sam")
    User.objects.filter(username="sam").update(is_superuser=True)
    for address, controls in CONTROLS.items():
        page.get(live_server.url + address.format(site.thread.pk))
        soon(page, "#content-main")
        assert tab_to(page, controls) == ([], []), address


def tab_to(page, controls):
    """Press Tab until these controls had the focus, in this order. Return those not reached, and those not seen."""
    left, unseen = list(controls), []
    for _ in range(MOST):
        page.switch_to.active_element.send_keys(Keys.TAB)
        focused = page.switch_to.active_element
        name = focused.accessible_name
        if not page.execute_script(IS_SEEN):
            unseen.append(name)
        if left and name.startswith(left[0]):
            left.pop(0)
        if not left:
            break
    return left, unseen
