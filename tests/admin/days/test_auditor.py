"""A day of the auditor: sign in with a second factor, read who saw and did what, and reveal nothing."""

import pytest

from smsproxy.staff.audit import record_for
from smsproxy.staff.groups import AUDITOR
from smsproxy.staff.models import AuditAction, AuditEntry
from tests.admin.sign_in.conftest import Phone
from tests.support.desk import Desk
from tests.support.pages import refused_by_policy
from tests.support.staffed_site import PASSWORD, member

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_day_of_the_auditor(page, site, live_server):
    record_for("sam", AuditAction.SAW, site.thread, detail="its texts", reason="ticket 4711", people=[site.alice.pk])
    phone = Phone(member(AUDITOR, "ann"))
    phone.set_up()
    desk = Desk(page, "auditor")
    page.get(f"{live_server.url}/admin/")
    desk.picture("sign-in")
    desk.fill("ann", "#id_username")
    desk.enter(PASSWORD, "#id_password")
    desk.picture("code")
    # The code of the set-up cannot be used again.
    desk.enter(phone.code(later=1), "[autocomplete=one-time-code]")
    assert "1 thing is wrong now" in desk.shown()

    desk.begin()
    desk.click("Audit", within=".doors")
    assert "ticket 4711" in desk.shown()
    desk.picture("audit")
    desk.find("07700 900001")
    desk.click("What staff saw of this person")
    assert "sam" in desk.shown()
    assert "ticket 4711" in desk.shown()
    assert desk.took() == (3, 3)
    desk.picture("audit-of-a-person")

    desk.find("order-17")
    assert "Show the texts" not in desk.shown()
    desk.click("History: what staff saw and did")
    assert "saw its texts" in desk.shown()
    assert "on hold: ticket 4711" in desk.shown()
    desk.picture("history")

    page.get(f"{live_server.url}/admin/reveal/texts/{site.thread.pk}/")
    assert "conversations.read_message_text" in desk.shown()
    desk.picture("refusal")
    assert AuditEntry.objects.filter(action="refused", actor="ann").exists()
    assert refused_by_policy(page) == []
