"""Rule 7: real numbers and texts stay inside."""

import ast
import html
import logging
import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.urls import reverse

from conversations.delivery.relay import Relay
from conversations.intake.read_arrival import InboundContext
from conversations.lifecycle.request import ParticipantSpec
from conversations.models import Block, InboundMessage, OutboundMessage
from conversations.models.gcra import LONG_AGO
from numbers.models import RealNumber
from smsproxy import crypto
from smsproxy.carriers.base import InboundText, OutcomeUnknown, OutgoingText, WebhookRequest
from smsproxy.crypto import decrypt, encrypt, keyed_hash
from smsproxy.logs import redact
from smsproxy.logs.formats import RedactingFormatter
from smsproxy.phone import mask
from tests.project.test_architecture import APPS, ROOT, source_files
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.signing import signed_inbound

SECRET_WORDS = "meet me at the old lighthouse"
INBOUND = "/webhooks/vonage/inbound-sms"


def everything_in_the_database():
    """Yield each value of each column of each table, as the database holds it."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            yield from (str(value) for row in cursor.fetchall() for value in row)


@pytest.fixture
def talked(db, client, carrier):
    """Return a conversation with one relay sent and one with an unknown outcome, after two bad webhooks."""
    add_numbers(2)
    conversation = talk(ALICE, BOB, notify=True)
    to = proxies(conversation)[0]
    carrier.script = [carrier.accept, OutcomeUnknown("read timeout")]
    for index in range(2):
        params = signed_inbound(msisdn=ALICE[1:], to=to[1:], text=SECRET_WORDS, messageId=f"m{index}")
        assert client.post(INBOUND, params, "application/json").status_code == 200
    client.post(INBOUND, {**signed_inbound(msisdn=ALICE[1:], text=SECRET_WORDS), "to": "1"}, "application/json")
    client.post(INBOUND, signed_inbound(msisdn=ALICE[1:], to="x", text=SECRET_WORDS, messageId="b"), "application/json")
    Relay().send_due()
    return conversation


@pytest.mark.parametrize(
    "value",
    [
        InboundText(carrier_message_id="1", sender=ALICE, recipient="+447700900500", text=SECRET_WORDS),
        OutgoingText(sender="+447700900500", recipient=ALICE, text=SECRET_WORDS, client_ref="1"),
        InboundContext(now=LONG_AGO, written_at=LONG_AGO, text=SECRET_WORDS),
        ParticipantSpec(number=ALICE),
        WebhookRequest(
            method="POST", query=SECRET_WORDS, content_type="", body=ALICE.encode(), environ={"QUERY_STRING": ALICE}
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_repr_of_a_value_object_shows_no_real_number_or_text(value):
    assert ALICE not in repr(value)
    assert SECRET_WORDS not in repr(value)


def test_no_real_number_or_text_is_readable_at_rest(talked):
    values = list(everything_in_the_database())

    assert len(values) > 100
    for secret in (ALICE, BOB, ALICE[1:], BOB[1:], SECRET_WORDS):
        assert not [value for value in values if secret in value]


def test_only_one_table_holds_real_numbers(talked):
    assert {row.number for row in RealNumber.objects.all()} == {ALICE, BOB}
    assert InboundMessage.objects.filter(outcome="relayed").first().text == SECRET_WORDS


def test_no_real_number_or_text_is_logged(db, client, carrier, caplog):
    caplog.set_level(logging.DEBUG)
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]
    carrier.script = [ZeroDivisionError(f"{ALICE} {SECRET_WORDS}")]
    for params in (
        signed_inbound(msisdn=ALICE[1:], to=to[1:], text=SECRET_WORDS),
        signed_inbound(msisdn=ALICE[1:], to="nonsense", text=SECRET_WORDS, messageId="b"),
        {**signed_inbound(msisdn=ALICE[1:], text=SECRET_WORDS), "sig": "wrong"},
    ):
        client.post(INBOUND, params, "application/json")
    Relay().send_due()

    formatter = RedactingFormatter("%(message)s")
    lines = [
        formatter.format(record)
        for record in caplog.records
        # Django logs SQL statements only with DEBUG=true.
        if not record.name.startswith("django.db")
    ]
    assert lines
    assert not [line for line in lines if ALICE[1:] in line or BOB[1:] in line or SECRET_WORDS in line]


@pytest.mark.parametrize(
    "line",
    [
        "failed for +447700900001",
        "/ni/basic/json?number=447700900001&x=1",
        "%2B447700900001",
        "%252B447700900001",
        "('+447700900001',)",
        "+447700900001",
        r'"\n447700900001"',
        r"\u002b447700900001",
        "id447700900001",
        "bed447700900001",
        "msisdn_447700900001",
        "tel.447700900001",
        "447700900001-1",
        "447700900001x",
        "447700900001447700900001",
        "+44 7700 900001",
        "+44 (7700) 900001",
        "+44-7700-900001",
        "+1-212-555-0101",
    ],
)
def test_anything_that_looks_like_a_number_is_masked_in_every_log_line(line):
    assert not re.search(r"\d{4}", redact(line))


@pytest.mark.parametrize(
    "line",
    [
        "message 1234567 sent",
        "2026-11-22 06:00:00,123",
        "2026-11-22T06:00:00.123456+00:00",
        "Sun, 22 Nov 2026 06:00:00 +0000 2026",
        "0a1b2c3d4e5f60718293",
        "0C000000217B7F02",
        "12345678-1234-4123-8123-447700900001",
        "0c12345678904a52a0b1447700900001",
        "12.345678901",
    ],
)
def test_other_digits_are_kept_in_the_log(line):
    assert redact(line) == line


def test_a_traceback_is_masked_too():
    try:
        raise ValueError(f"bad number {ALICE}")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "x", 1, "oops", None, (ValueError, error, error.__traceback__))

    assert ALICE[1:] not in RedactingFormatter().format(record)


def test_a_mask_shows_the_country_and_two_digits():
    assert mask(ALICE) == "+44 ••• 01"
    assert mask("+9991234567") == "•••"


class TestEncryption:
    @pytest.fixture(autouse=True)
    def _forget_keys(self):
        yield
        crypto._fernet.cache_clear()

    def test_the_same_text_gets_a_new_token_each_time_and_decrypts(self):
        assert encrypt("hello") != encrypt("hello")
        assert decrypt(encrypt("hëllo 😀 \ud83d")) == "hëllo 😀 \ud83d"

    def test_an_old_key_still_decrypts_and_the_first_encrypts(self, settings):
        old = settings.ENCRYPTION_KEYS
        token = encrypt("hello")
        settings.ENCRYPTION_KEYS = ["WJ4Z0bS8Bl4DwFdM3bW4e1xGzC3m2nTg7q0cXl7cT0k=", *old]
        assert decrypt(token) == "hello"
        new_token = encrypt("hello")

        settings.ENCRYPTION_KEYS = old
        with pytest.raises(ImproperlyConfigured, match="ENCRYPTION_KEYS"):
            decrypt(new_token)

    def test_the_hash_depends_on_the_key(self, settings):
        before = keyed_hash(ALICE)
        assert keyed_hash(ALICE) == before
        settings.NUMBER_HASH_KEY = "another key of more than thirty-two characters"

        assert keyed_hash(ALICE) != before

    def test_an_encrypted_column_rejects_searches(self, db):
        with pytest.raises(Exception, match=r"exact|lookup"):
            RealNumber.objects.filter(number=ALICE).exists()


def test_a_phone_number_is_hashed_in_one_way_only():
    """`number_hash` hashes its canonical form. The others hash a request, a webhook, and the words of a text."""
    users = {
        str(path.relative_to(ROOT))
        for path in source_files(*APPS)
        if "keyed_hash" in {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    }

    assert users == {
        "smsproxy/crypto.py",
        "smsproxy/api/idempotency.py",
        "conversations/trust/loop_breaker.py",
        "conversations/webhooks/views.py",
    }


class TestAdmin:
    def test_every_list_opens_without_real_numbers_or_texts(self, talked, admin_client):
        for person in RealNumber.objects.all():
            person.opt_out(reason="texted STOP")
            Block.objects.create(person=person, reason="threats", created_by="sam")

        for model in admin.site._registry:
            url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
            assert admin_client.get(url, {"q": "a"}, follow=True).status_code == 200
            page = admin_client.get(url, follow=True).content.decode()

            assert "page not found" not in page
            assert not [secret for secret in (ALICE[1:], BOB[1:], SECRET_WORDS) if secret in page], url

    @pytest.mark.parametrize("model", ["conversation", "participant", "inboundmessage", "outboundmessage"])
    def test_every_record_opens_read_only(self, talked, admin_client, model):
        row = apps.get_model("conversations", model).objects.order_by("pk").first()

        page = admin_client.get(reverse(f"admin:conversations_{model}_change", args=[row.pk]))

        assert page.status_code == 200
        assert b'name="_save"' not in page.content
        assert ALICE[1:] not in page.content.decode()
        assert admin_client.get(reverse(f"admin:conversations_{model}_add")).status_code == 403
        assert admin_client.post(reverse(f"admin:conversations_{model}_delete", args=[row.pk])).status_code == 403

    def test_a_text_is_revealed_only_with_the_permission_to_read_texts(self, talked, client, admin_client):
        row = OutboundMessage.objects.filter(kind="relay").first()
        url = reverse("admin:conversations_outboundmessage_change", args=[row.pk])
        support = User.objects.create_user("sam", is_staff=True)
        support.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
        client.force_login(support)

        for who in (client, admin_client):
            who.post(reverse("admin:reveal", args=["texts", talked.pk]), {"reason": "ticket 4711"})
        page = client.get(url)
        assert page.status_code == 200
        assert SECRET_WORDS not in page.text
        assert SECRET_WORDS in admin_client.get(url).text

    def test_a_raw_webhook_is_revealed_only_with_both_permissions(self, talked, client, admin_client):
        row = InboundMessage.objects.get(outcome="undecodable")
        url = reverse("admin:conversations_inboundmessage_change", args=[row.pk])
        support = User.objects.create_user("sam", is_staff=True)
        may = ["view_inboundmessage", "read_message_text"]
        support.user_permissions.set(Permission.objects.filter(codename__in=may))
        client.force_login(support)

        for who in (client, admin_client):
            who.post(reverse("admin:reveal", args=["stranger_text", row.pk]), {"reason": "ticket 4711"})
        assert ALICE[1:] not in client.get(url).text
        assert ALICE[1:] in admin_client.get(url).text

    def test_closing_a_conversation_records_the_member_of_staff(self, talked, admin_client):
        url = reverse("admin:conversations_conversation_changelist")

        admin_client.post(url, {"action": "close", "_selected_action": [talked.pk], "reason": "ticket 4711"})
        again = admin_client.post(
            url, {"action": "close", "_selected_action": [talked.pk], "reason": "ticket 4711"}, follow=True
        )

        talked.refresh_from_db()
        assert talked.state == "closed"
        assert talked.events.get(new_state="closed").actor == "admin"
        assert b"0 done, 1 refused" in again.content

    def test_a_conversation_links_to_all_its_messages(self, talked, admin_client):
        page = admin_client.get(reverse("admin:conversations_conversation_change", args=[talked.pk])).content.decode()
        links = re.findall(r'href="([^"]+conversation__id__exact=\d+)"', page)

        shown = [admin_client.get(html.unescape(link)).context["cl"].result_count for link in links]

        assert shown == [2, 4]

    def test_staff_without_the_permission_have_no_actions(self, talked, client):
        support = User.objects.create_user("sam", is_staff=True)
        support.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
        client.force_login(support)
        url = reverse("admin:conversations_conversation_changelist")

        client.post(url, {"action": "close", "_selected_action": [talked.pk], "reason": "ticket 4711"})

        talked.refresh_from_db()
        assert talked.state == "open"

    def test_staff_can_resend_a_message_with_an_unknown_outcome(self, talked, admin_client):
        row = OutboundMessage.objects.get(state="unknown")

        admin_client.post(
            reverse("admin:conversations_outboundmessage_changelist"),
            {"action": "resend", "_selected_action": [row.pk], "reason": "ticket 4711"},
        )

        row.refresh_from_db()
        assert row.state == "queued"
        assert row.events.filter(actor="admin").exists()
