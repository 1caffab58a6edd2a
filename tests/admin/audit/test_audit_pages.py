"""Staff with the right read the audit: all of it, by who, what and day, about an object, and about a person."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from conversations.delivery.outbox import queue_notice
from conversations.models import Conversation
from numbers.models import RealNumber
from smsproxy.staff.audit import record_for
from smsproxy.staff.audit_list import PAGE
from smsproxy.staff.models import AuditAction, AuditEntry
from tests.support.builders import ALICE, BOB, add_numbers, members, talk
from tests.support.staff_members import log_in

pytestmark = pytest.mark.django_db

AUDIT = "/admin/staff/auditentry/"


@pytest.fixture
def auditor(client):
    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_auditentry"))
    client.force_login(user)
    return client


@pytest.fixture
def conversation():
    add_numbers(2)
    return talk(ALICE, BOB)


def shown(answer):
    return [entry.detail for entry in answer.context["page"].entries]


def test_each_entry_says_who_what_about_what_and_why(auditor, conversation):
    record_for("sam", AuditAction.DID, conversation, detail="close", reason="ticket 4711")

    text = auditor.get(AUDIT).text

    assert all(words in text for words in ("sam", "did: close", str(conversation), "ticket 4711"))
    assert f'href="/admin/conversations/conversation/{conversation.pk}/change/"' in text


def test_the_audit_needs_its_right(client, conversation):
    client.force_login(User.objects.create_user("sam", is_staff=True))

    assert client.get(AUDIT).status_code == 403


def test_the_audit_about_an_object_has_only_its_entries(auditor, conversation):
    record_for("sam", AuditAction.DID, conversation, detail="close")
    record_for("sam", AuditAction.SAW, RealNumber.objects.first(), detail="the number in full")

    answer = auditor.get(AUDIT, {"type": "conversations.conversation", "id": conversation.pk})

    assert shown(answer) == ["close"]


def test_the_audit_about_a_person_has_what_staff_did_to_their_conversations(auditor, conversation):
    alice, bob = (RealNumber.objects.with_number(number).get() for number in (ALICE, BOB))
    record_for("sam", AuditAction.DID, conversation, detail="close")
    record_for("sam", AuditAction.SAW, bob, detail="the number in full")

    assert shown(auditor.get(AUDIT, {"person": alice.pk})) == ["close"]
    assert shown(auditor.get(AUDIT, {"person": bob.pk})) == ["the number in full", "close"]
    assert ALICE[3:] not in auditor.get(AUDIT, {"person": alice.pk}).text


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"who": "sam"}, ["three", "one"]),
        ({"who": "sa"}, []),
        ({"action": "did"}, ["three", "two"]),
        ({"who": "sam", "action": "did"}, ["three"]),
        ({"since": "2026-03-02"}, ["three", "two"]),
        ({"until": "2026-03-02"}, ["two", "one"]),
        ({"since": "2026-03-02", "until": "2026-03-02"}, ["two"]),
        ({"since": "2030-01-01"}, []),
        ({"who": "kim", "since": "2026-03-02", "action": "did"}, ["two"]),
    ],
)
def test_the_audit_is_found_by_who_what_and_day(auditor, asked, found):
    acts = [("sam", AuditAction.SAW, "one"), ("kim", AuditAction.DID, "two"), ("sam", AuditAction.DID, "three")]
    AuditEntry.objects.bulk_create(
        AuditEntry(actor=who, action=what, detail=detail, at=datetime(2026, 3, day, 12, tzinfo=UTC))
        for day, (who, what, detail) in enumerate(acts, start=1)
    )

    assert shown(auditor.get(AUDIT, asked)) == found


def test_one_can_page_to_the_oldest_entry_and_back(auditor):
    AuditEntry.objects.bulk_create(
        AuditEntry(actor="sam", action=AuditAction.SAW, detail=str(index)) for index in range(2 * PAGE + 1)
    )
    newest = auditor.get(AUDIT, {"who": "sam"})
    second = auditor.get(AUDIT + newest.context["older"])
    oldest = auditor.get(AUDIT + second.context["older"])
    back = auditor.get(AUDIT + auditor.get(AUDIT + oldest.context["newer"]).context["newer"])

    assert [len(shown(page)) for page in (newest, second, oldest)] == [PAGE, PAGE, 1]
    assert [bool(page.context["newer"]) for page in (newest, second, oldest)] == [False, True, True]
    assert (shown(oldest), oldest.context["older"]) == (["0"], "")
    assert (shown(back), back.context["newer"]) == (shown(newest), "")


def test_a_page_takes_few_queries_and_none_counts(auditor, conversation):
    for index in range(PAGE + 5):
        record_for("sam", AuditAction.DID, conversation, detail=f"act {index}")
    auditor.get(AUDIT)

    for asked in ({}, {"person": 1}, {"type": "conversations.conversation", "id": conversation.pk}, {"who": "sam"}):
        with CaptureQueriesContext(connection) as queries:
            auditor.get(AUDIT, asked)
        statements = [each["sql"] for each in queries if "staff_audit" in each["sql"]]
        assert len(statements) <= 4
        assert not [sql for sql in statements if "COUNT(" in sql]


@pytest.mark.parametrize(
    "query", ["before=x", "after=-1", "person=" + "9" * 30, "type=%00", "since=nonsense", "action=nothing", "before=0"]
)
def test_a_wrong_address_is_explained(auditor, query):
    answer = auditor.get(f"{AUDIT}?{query}")

    assert answer.status_code == 200
    assert "wrong value" in answer.text


@pytest.mark.parametrize("object_id", ["a%0Ab", "a/b", "%3F", "_0A", "'"])
def test_an_address_with_any_id_is_answered(auditor, object_id):
    assert auditor.get(f"{AUDIT}?type=conversations.conversation&id={object_id}").status_code == 200


def test_an_object_of_a_model_that_is_gone_is_named_without_a_link(auditor):
    AuditEntry.objects.create(
        actor="sam", action="did", object_type="conversations.gone", object_id="1", object_name="x1"
    )

    answer = auditor.get(AUDIT)

    assert "x1" in answer.text
    assert answer.context["page"].entries[0].url == ""


# HISTORY --------------------------------------------------------------------------------------------------------------


def history(client, conversation):
    return client.get(f"/admin/conversations/conversation/{conversation.pk}/history/")


def test_the_history_shows_events_and_the_audit_newest_first(admin_client, conversation):
    conversation.close(actor="kim")
    record_for("sam", AuditAction.REVEALED, conversation, detail="the texts", reason="ticket 4711")

    answer = history(admin_client, conversation)

    lines = [(line.who, line.what, line.is_audit) for line in answer.context["history"].lines]
    assert lines[:2] == [("sam", "revealed the texts", True), ("kim", "open → closed", False)]
    assert "ticket 4711" in answer.text


def test_the_history_of_a_conversation_has_what_staff_did_to_its_people_and_messages(admin_client, conversation):
    other = talk(ALICE, BOB)
    for each in (conversation, other):
        record_for("sam", AuditAction.DID, members(each)[1], detail="block", reason=f"for {each}")
        queue_notice(members(each)[0], "A notice of ours")
        record_for("sam", AuditAction.DID, each.messages.get(), detail="resend", reason=f"for {each}")

    lines = history(admin_client, conversation).context["history"].lines

    shown = [(line.what, line.why) for line in lines if line.is_audit]
    of_message = f"did: resend ({conversation.messages.get()})"
    assert shown == [(of_message, f"for {conversation}"), ("did: block (Bob)", f"for {conversation}")]


def test_the_link_to_the_history_promises_no_audit_to_those_who_may_not_see_it(admin_client, conversation):
    page = f"/admin/conversations/conversation/{conversation.pk}/change/"
    assert "History: what staff saw and did" in admin_client.get(page).text

    page = log_in(Client(), "view_conversation").get(page).text
    assert ("what staff saw and did" in page, ">History</a>" in page) == (False, True)


def test_the_history_is_without_the_audit_for_staff_who_may_not_see_it(client, conversation):
    user = User.objects.create_user("sam", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_conversation"))
    client.force_login(user)
    record_for("kim", AuditAction.REVEALED, conversation, detail="the texts", reason="ticket 4711")

    answer = history(client, conversation)

    assert answer.status_code == 200
    assert "ticket 4711" not in answer.text


def test_the_history_needs_the_right_to_see_the_object(auditor, conversation):
    assert history(auditor, conversation).status_code == 403


def test_a_long_history_is_cut(admin_client, conversation, monkeypatch):
    monkeypatch.setattr("smsproxy.staff.history.LIMIT", 3)
    for index in range(5):
        record_for("sam", AuditAction.DID, conversation, detail=f"act {index}")

    answer = history(admin_client, conversation)

    assert "Only the newest lines are shown." in answer.text
    assert "act 0" not in answer.text


# What is recorded -----------------------------------------------------------------------------------------------------


def test_an_action_of_a_list_is_recorded_for_each_row_with_its_reason_and_people(admin_client, conversation):
    url = "/admin/conversations/conversation/"
    admin_client.post(url, {"action": "hold", "_selected_action": [conversation.pk], "reason": "ticket 4711"})

    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.detail, entry.reason) == ("admin", "did", "hold", "ticket 4711")
    assert set(entry.people.values_list("person_id", flat=True)) == set(
        conversation.participants.values_list("real_number_id", flat=True)
    )


def test_an_action_that_is_refused_is_not_recorded(admin_client, conversation):
    conversation.close_permanently()
    url = "/admin/conversations/conversation/"

    admin_client.post(url, {"action": "close", "_selected_action": [conversation.pk], "reason": "ticket 4711"})

    assert not AuditEntry.objects.exists()


def test_changes_of_users_and_groups_are_recorded(admin_client):
    admin_client.post("/admin/auth/group/add/", {"name": "Night shift"})
    admin_client.post(f"/admin/auth/group/{_group().pk}/change/", {"name": "Day shift"})
    admin_client.post(f"/admin/auth/group/{_group().pk}/delete/", {"post": "yes"})

    entries = AuditEntry.objects.order_by("pk").values_list("action", "object_name", "detail")
    assert list(entries) == [
        ("added", "Night shift", ""),
        ("changed", "Day shift", "Name"),
        ("deleted", "Day shift", ""),
    ]


def _group():
    from django.contrib.auth.models import Group

    return Group.objects.get(name__endswith="shift")


def test_the_export_of_numbers_is_recorded(admin_client):
    admin_client.get("/admin/numbers/virtualnumber/export/")

    assert AuditEntry.objects.get().action == "exported"


def test_nothing_is_written_to_djangos_own_log(admin_client, conversation):
    from django.contrib.admin.models import LogEntry

    admin_client.post("/admin/auth/group/add/", {"name": "Night shift"})
    Conversation.objects.first()

    assert not LogEntry.objects.exists()
