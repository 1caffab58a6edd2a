"""Every main page is accessible: axe-core in both themes and widths, no sideways scrolling, the keyboard alone."""

import os

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from selenium.webdriver.common.keys import Keys

from conversations.models import OutboundMessage
from numbers.models import NumberOrder
from smsproxy.staff.models import Reveal, RevealKind
from tests.support.accessibility import violations
from tests.support.browser import show_as, soon
from tests.support.pages import fits, refused_by_policy
from tests.support.screenshots import screenshot

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LOOKS = [(1200, False), (1200, True), (390, True), (390, False)]


def pages_of(site):
    """Return the addresses of the pages, by the name of their picture."""
    thread = reverse("admin:conversations_conversation_change", args=[site.thread.pk])
    conversation = thread.removesuffix("change/")
    person = reverse("admin:numbers_realnumber_change", args=[site.alice.pk])
    number = reverse("admin:numbers_virtualnumber_change", args=[site.failing.pk])
    order = NumberOrder.objects.create(country="GB", count=2, features="SMS", pattern_place="anywhere")
    message = OutboundMessage.objects.filter(state="unknown").earliest("pk")
    lost = f"/admin/inbox/text/{site.lost.pk}/"
    return {
        "home": "/admin/",
        "technical": "/admin/technical/",
        "find": "/admin/find/?q=order",
        "find-number": f"/admin/find/?q=%2B{site.failing.number[1:]}",
        "find-nothing": "/admin/find/?q=%2B447700900077",
        "find-caller": "/admin/numbers/realnumber/find/",
        "person": person,
        "conversations": "/admin/conversations/conversation/",
        "conversations-none": "/admin/conversations/conversation/?q=nothing",
        "thread": thread,
        "thread-shown": reverse("admin:conversations_conversation_change", args=[site.held.pk]),
        "reveal": f"/admin/reveal/texts/{site.thread.pk}/",
        "act-text": f"{conversation}act/text/",
        "act-extend": f"{conversation}act/extend/",
        "act-close": f"{conversation}act/close/",
        "block": f"{conversation}block/1/",
        "block-person": f"/admin/conversations/block/person/{site.alice.pk}/",
        "resend": f"{conversation}message/{message.pk}/resend/",
        "inbox": "/admin/inbox/",
        "inbox-empty": "/admin/inbox/?who=mine",
        "inbox-texts": lost,
        "inbox-attach": f"{lost}attach/",
        "inbox-answer": f"{lost}answer/",
        "pool": "/admin/pool/",
        "number": number,
        "number-replace": f"/admin/pool/numbers/{site.failing.pk}/replace/",
        "number-quarantine": f"/admin/pool/numbers/{site.failing.pk}/quarantine/",
        "buy": "/admin/pool/buy/",
        "buy-offers": "/admin/pool/buy/?country=GB&count=2&type=&pattern=&pattern_place=anywhere&pool=",
        "order": f"/admin/pool/orders/{order.pk}/",
        "plan": "/admin/plan/",
        "audit": "/admin/staff/auditentry/",
        "audit-person": f"/admin/staff/auditentry/?person={site.alice.pk}",
        "audit-refused": "/admin/staff/auditentry/?since=nonsense",
        "history": f"{conversation}history/",
        "second-factor": "/admin/account/second-factor/",
        "second-factor-set-up": "/admin/account/second-factor/set-up/",
        "password": "/admin/password_change/",
        "missing": "/admin/nowhere/",
        "send-again": "/admin/home/account/resume/",
        "messages": "/admin/conversations/outboundmessage/",
        "message": reverse("admin:conversations_outboundmessage_change", args=[message.pk]),
        "blocks": "/admin/conversations/block/",
        "block-add": "/admin/conversations/block/add/",
        "users": "/admin/auth/user/",
        "user": reverse("admin:auth_user_change", args=[User.objects.earliest("pk").pk]),
        "services": "/admin/services/service/1/change/",
        "import": "/admin/numbers/virtualnumber/import/",
    }


def test_every_main_page_is_accessible_in_each_width_and_theme(enter, page, site, live_server):
    faults = {}

    def check(name, address):
        page.get(live_server.url + address)
        soon(page, "main, #content, body")
        if found := refused_by_policy(page):
            faults[f"{name}, policy"] = found
        for width, dark in LOOKS:
            look = f"{name}-{width}-{'dark' if dark else 'light'}"
            show_as(page, width=width, dark=dark)
            found = violations(page)
            if not fits(page):
                found.append("wider than the window")
            if found:
                faults[look] = found
            screenshot(page, look)
        page.get_log("browser")

    check("sign-in", "/admin/login/")
    enter("Auditor", "ann")
    check("refusal", "/admin/pool/buy/")
    check("home-auditor", "/admin/")
    enter("Support", "sam")
    user = User.objects.get(username="sam")
    user.is_superuser = True
    user.save()
    from conversations.models import Conversation  # noqa
    from datetime import timedelta
    from django.utils import timezone
    for each in pages_of(site).items():
        if os.environ.get("ONLY") and each[0] not in os.environ["ONLY"].split(","):
            continue
        if each[0] == "thread-shown":
            Reveal.objects.create(user=user, kind=RevealKind.TEXTS, object_id=site.thread.pk, reason="ticket 4711", until=timezone.now() + timedelta(minutes=9))
            each = ("thread-shown", reverse("admin:conversations_conversation_change", args=[site.thread.pk]))
        check(*each)
        if each[0] == "thread-shown":
            Reveal.objects.all().delete()
    check("phones", "/")
    lines = [f"{look}: {each}" for look, found in faults.items() for each in found]
    open("/tmp/days-faults.txt", "w").write("\n".join(lines))
    assert lines == []
