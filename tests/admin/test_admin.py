"""Features shared by the admin pages: audit entries, actions, and answers to invalid queries."""

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import DateField
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from conversations.intake import receive
from conversations.models import InboundMessage, NumberRateLimit
from numbers.models import NumberOrder, RealNumber
from smsproxy.api.models import ApiKey
from smsproxy.staff.models import AuditEntry
from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.inbox import perhaps_sent
from tests.support.staff_members import log_in

SECRET_WORDS = "meet me at the old lighthouse"


@pytest.fixture
def webhook(db):
    return receive.store_undecodable("m1", f'{{"msisdn": "{ALICE[1:]}", "text": "{SECRET_WORDS}"}}', "for the test")


@pytest.fixture
def message(db):
    return InboundMessage.objects.create(carrier_message_id="m2", outcome="no_route", text=SECRET_WORDS)


def page(row, name="change"):
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{name}", args=[row.pk])


# Audit entries --------------------------------------------------------------------------------------------------------


def reveal(client, row):
    client.post(reverse("admin:reveal", args=["stranger_text", row.pk]), {"reason": "ticket 4711"})


def test_a_text_is_covered_until_it_is_revealed_and_reading_it_leaves_an_audit_entry(client, message):
    log_in(client, "view_inboundmessage", "read_message_text")
    assert SECRET_WORDS not in client.get(page(message)).text

    reveal(client, message)

    assert SECRET_WORDS in client.get(page(message)).text
    entries = AuditEntry.objects.order_by("pk").values_list("object_id", "actor", "action", "detail")
    pk = str(message.pk)
    assert list(entries) == [(pk, "sam", "revealed", "the text"), (pk, "sam", "saw", "its text")]


def test_reading_a_raw_webhook_leaves_an_audit_entry(admin_client, webhook):
    assert SECRET_WORDS not in admin_client.get(page(webhook)).text

    reveal(admin_client, webhook)

    assert SECRET_WORDS in admin_client.get(page(webhook)).text
    assert AuditEntry.objects.get(action="saw").detail == "its raw"


def test_a_raw_webhook_needs_the_permission_to_see_numbers_too(client, webhook):
    log_in(client, "view_inboundmessage", "read_message_text")

    reveal(client, webhook)

    assert SECRET_WORDS not in client.get(page(webhook)).text


def test_a_page_without_the_text_leaves_no_audit_entry(client, message, webhook):
    log_in(client, "view_inboundmessage")

    assert SECRET_WORDS not in client.get(page(message)).text
    assert "Show the text" not in client.get(page(message)).text
    assert not AuditEntry.objects.exists()


# Actions --------------------------------------------------------------------------------------------------------------


def test_revoking_keys_reports_the_counts_and_records_the_actor(admin_client, db):
    keys = [ApiKey.objects.issue(name)[0] for name in ("rides", "parcels")]
    keys[0].revoke()
    data = {"action": "revoke", "_selected_action": [key.pk for key in keys], "reason": "ticket 4711"}

    answer = admin_client.post(reverse("admin:api_apikey_changelist"), data, follow=True)

    assert "1 done, 1 refused" in answer.content.decode()
    entry = AuditEntry.objects.get()
    assert (entry.object_id, entry.actor, entry.action, entry.detail) == (str(keys[1].pk), "admin", "did", "revoke")
    assert entry.reason == "ticket 4711"
    assert not ApiKey.objects.valid().exists()


# Pages ----------------------------------------------------------------------------------------------------------------


def test_a_conversation_page_takes_the_same_number_of_queries_for_any_group_size(admin_client, db):
    add_numbers(12)
    two = talk(ALICE, BOB)
    ten = talk(*(f"+4477007{index:05}" for index in range(5)))
    for index in range(5, 10):
        person = ten.participants.first()
        person.pk, person.position = None, index
        person.real_number = RealNumber.objects.get_or_create_many([f"+4477008{index:05}"])[f"+4477008{index:05}"]
        person.save(force_insert=True)
    admin_client.get(page(two))  # Fill the caches before counting.

    costs = []
    for conversation in (two, ten):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            admin_client.get(page(conversation))
        costs.append(len(queries))

    assert costs[0] == costs[1]


@pytest.mark.parametrize(
    "model", ["simulatedhandset", "simulatednumber", "simulatedtext", "simulatedfault", "delayedpost"]
)
def test_simulator_pages_are_forbidden_with_a_real_carrier(admin_client, db, settings, model):
    lists, adds = (reverse(f"admin:simulator_{model}_{name}") for name in ("changelist", "add"))
    assert admin_client.get(lists).status_code == 200
    settings.CARRIER = "vonage"

    assert admin_client.get(lists).status_code == 403
    assert admin_client.get(adds).status_code == 403


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "query",
    [
        "state__exact=%00",
        "created_at__year=99999",
        "created_at__year=" + "9" * 30,
        "created_at__gte=nonsense",
        "state__exact=%ff",
        "q=%00",
        "p=" + "9" * 30,
        "o=9.9.9",
        "created_by__id__exact=x",
    ],
)
@pytest.mark.parametrize("model", ["conversation", "outboundmessage"])
def test_an_invalid_list_query_is_not_a_500(admin_client, model, query):
    add_numbers(2)
    talk(ALICE, BOB, notify=True)

    answer = admin_client.get(reverse(f"admin:conversations_{model}_changelist") + f"?{query}", follow=True)

    assert answer.status_code == 200


def test_no_action_of_a_list_is_done_without_a_reason_which_its_form_asks_for(admin_client):
    key, _ = ApiKey.objects.issue("rides")
    [number, *_] = add_numbers(3)
    NumberRateLimit.objects.wait(number, 300, "this sender is not allowed")
    pace = NumberRateLimit.objects.get(number=number)
    order = NumberOrder.objects.create(country="GB", count=2, features="SMS")
    lost = perhaps_sent(talk(ALICE, BOB, reference="ride-1"))
    actions = {key: ["revoke"], pace: ["end_wait"], order: ["abandon"], lost: ["resend", "drop"]}

    for row, names in actions.items():
        url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_changelist")
        assert "Reason, for every action" in admin_client.get(url).text
        for name in names:
            answer = admin_client.post(url, {"action": name, "_selected_action": [row.pk]}, follow=True)
            assert "Nothing was done. Type a reason" in answer.text, name

    assert not AuditEntry.objects.filter(action="did").exists()
    order.refresh_from_db()
    lost.refresh_from_db()
    assert (order.state, lost.state) == ("open", "unknown")
    assert list(ApiKey.objects.valid()) == [key]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label_lower)
def test_no_list_answers_an_invalid_query_with_a_500(admin_client, model):
    url = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
    queries = [f"{field.name}=%00" for field in model._meta.concrete_fields if not field.is_relation]
    queries += [f"{field.name}__year=0" for field in model._meta.concrete_fields if isinstance(field, DateField)]
    queries += ["pk__range=1", "pk__in=x", "pk__regex=(", "pk__iregex=%5B", "q=%00", "p=x", "o=9.9.9", "e=1&x=1"]

    assert {admin_client.get(f"{url}?{query}").status_code for query in queries} <= {200, 302, 400}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("selected", ["x", "\x00", "9" * 30])
def test_an_action_on_an_invalid_selection_is_not_a_500(admin_client, selected):
    data = {"action": "close", "_selected_action": selected, "reason": "ticket 4711"}

    answer = admin_client.post(reverse("admin:conversations_conversation_changelist"), data, follow=True)

    assert answer.status_code == 200


@pytest.mark.parametrize("reason", [" ", "call 07700 900001"])
@pytest.mark.parametrize("action", ["close", "reopen", "hold", "release_hold"])
def test_many_conversations_are_changed_only_for_a_reason(admin_client, action, reason):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    data = {"action": action, "_selected_action": conversation.pk, "reason": reason}

    page = admin_client.post(reverse("admin:conversations_conversation_changelist"), data, follow=True)

    assert "Nothing was done. Type a reason" in page.content.decode()
    conversation.refresh_from_db()
    assert (conversation.state, conversation.held_at) == ("open", None)


def test_staff_can_close_a_closed_conversation_permanently(admin_client):
    add_numbers(2)
    conversation = talk(ALICE, BOB, late_messages="reopen").close()
    data = {"action": "close", "_selected_action": conversation.pk, "reason": "ticket 4711"}

    pages = [
        admin_client.post(reverse("admin:conversations_conversation_changelist"), data, follow=True) for _ in range(2)
    ]

    assert ["1 done." in page.content.decode() for page in pages] == [True, False]
    conversation.refresh_from_db()
    assert conversation.late_messages == "end"
    assert conversation.events.first().actor == "admin"


def test_an_internal_error_is_still_a_500(admin_user, monkeypatch):
    client = Client(raise_request_exception=False)
    client.force_login(admin_user)
    monkeypatch.setattr("conversations.admin.conversations.ConversationAdmin.get_queryset", lambda *args: int("x"))

    assert client.get(reverse("admin:conversations_conversation_changelist")).status_code == 500
