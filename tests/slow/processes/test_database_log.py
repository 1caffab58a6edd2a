"""A database server sees each statement with its parameters: in its log, its activity view and its errors.

This server logs everything. Real numbers and texts may be in none of it.
"""

import io
import re
from contextlib import suppress

import environ
import psycopg
import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from conversations.delivery.relay import Relay
from conversations.models import InboundMessage, OutboundMessage
from conversations.worker.periodic_jobs import relay_incomplete_long_messages, release_cooled_down
from numbers.models import NumberState, RealNumber
from smsproxy.api.models import ApiKey
from smsproxy.carriers import override
from smsproxy.staff.model_admin import GuardedList
from tests.support.api_requests import URL, asked_for, given, is_refused
from tests.support.builders import ALICE, BOB, STRANGER, add_number, add_numbers
from tests.support.fake_rental_carrier import Rentals, offer
from tests.support.postgres_cluster import Cluster, NoCluster
from tests.support.signing import signed_inbound, signed_receipt

TEXT = "meet me at the old lighthouse"
MARIA = "+525512345678"
# Both spellings of Maria, and any beginning of the others: virtual numbers of these tests differ in these digits.
SECRETS = [ALICE[-10:], BOB[-10:], STRANGER[-10:], MARIA[-10:], "lighthouse"]
LOG_EVERYTHING = [
    "log_min_duration_statement=0",
    "log_statement=all",
    "log_parameter_max_length=-1",
    "log_parameter_max_length_on_error=-1",
    "log_min_error_statement=debug5",
    "log_min_messages=debug1",
    "log_error_verbosity=verbose",
    "track_activity_query_size=64kB",
]


class Watch:
    """Keeps what the server's views showed after each statement."""

    def __init__(self, cluster):
        self.cluster = cluster
        self._connection = psycopg.connect(cluster.url, autocommit=True)
        self.seen = set()

    def look(self):
        rows = self._connection.execute("SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        self.seen.update(query for [query] in rows)

    def __call__(self, execute, sql, params, many, context):
        try:
            return execute(sql, params, many, context)
        finally:
            self.look()

    def close(self):
        self._connection.close()


@pytest.fixture(scope="module")
def watch():
    try:
        cluster = Cluster(*LOG_EVERYTHING).__enter__()
    except NoCluster as error:
        pytest.skip(f"needs a separate PostgreSQL server: {error}")
    try:
        watch = Watch(cluster)
        yield watch
        watch.close()
    finally:
        cluster.__exit__()


@pytest.fixture
def _database(watch, monkeypatch, django_db_blocker):
    """Use the server that logs everything, in place of the configured database."""
    database = environ.Env.db_url_config(watch.cluster.url)
    with django_db_blocker.unblock():
        configured = connections[DEFAULT_DB_ALIAS]
        monkeypatch.setitem(
            connections.settings,
            DEFAULT_DB_ALIAS,
            connections.configure_settings({DEFAULT_DB_ALIAS: database})[DEFAULT_DB_ALIAS],
        )
        del connections[DEFAULT_DB_ALIAS]
        try:
            call_command("migrate", verbosity=0)
            with connections[DEFAULT_DB_ALIAS].execute_wrapper(watch):
                yield
        finally:
            connections[DEFAULT_DB_ALIAS].close()
            connections[DEFAULT_DB_ALIAS] = configured
            ContentType.objects.clear_cache()  # It holds the ids of the other database.


@pytest.fixture
def staff(_database):
    User.objects.create_superuser("staff")
    client = Client()
    client.force_login(User.objects.get())
    return client


@pytest.fixture
def market(_database):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {ApiKey.objects.issue('rides-backend')[1]}")
    return client


class Phone:
    """Texts to our numbers, as the carrier reports them."""

    def __init__(self):
        self._client = Client()
        self._ids = iter(range(1000))

    def text(self, sender, to, text=TEXT, **fields):
        params = signed_inbound(msisdn=sender[1:], to=to, text=text, messageId=f"m{next(self._ids)}", **fields)
        answer = self._client.post("/webhooks/vonage/inbound-sms", params, "application/json")
        assert answer.status_code == 200

    def parts(self, sender, to, *numbers, ref):
        for number in numbers:
            fields = {"concat": "true", "concat_ref": ref, "concat_total": "2", "concat_part": str(number)}
            self.text(sender, to, f"{TEXT} {number}", **fields)

    def receipt(self, message):
        params = signed_receipt(msisdn=message.recipient.number[1:], client_ref=message.client_ref)
        assert self._client.post("/webhooks/vonage/delivery-receipt", params, "application/json").status_code == 200


def talk_and_close(market, settings):
    phone = Phone()
    add_numbers(4)
    request = asked_for(ALICE, BOB, notify=True)
    to = given(market.post(URL, request, format="json", HTTP_IDEMPOTENCY_KEY="1"))[0][1:]
    given(market.post(URL, request, format="json", HTTP_IDEMPOTENCY_KEY="1"))
    maria = given(market.post(URL, asked_for(MARIA, ALICE, geography="any"), format="json"))[0][1:]
    market.post(f"{URL}dry-run/", asked_for(ALICE, BOB), format="json")
    is_refused(market.post(URL, asked_for(ALICE, f"+{to}"), format="json"), 400, "virtual_number")
    is_refused(
        market.post(URL, asked_for({"number": ALICE, "proxy_number": BOB}, BOB), format="json"),
        400,
        "proxy_number_unknown",
    )
    phone.text(ALICE, to)
    phone.text("+5215512345678", maria)
    phone.text(STRANGER, to, "STOP")
    phone.text(STRANGER, "x")
    phone.text(ALICE, BOB[1:])
    phone.text(f"+{to}", maria)
    phone.parts(ALICE, to, 2, 1, ref="7")
    phone.parts(STRANGER, to, 1, 2, ref="8")
    phone.parts(ALICE, to, 1, ref="9")
    Relay().send_due()
    for message in OutboundMessage.objects.filter(state="sent"):
        phone.receipt(message)
    [first] = market.get(URL).json()["results"][-1:]
    for sender, recipient in [(ALICE, f"+{to}"), (STRANGER, f"+{to}"), (f"+{to}", f"+{maria}"), (ALICE, BOB)]:
        market.get("/api/v1/routes/explain/", {"to": recipient}, HTTP_FROM_NUMBER=sender)
    market.post(f"{URL}{first['id']}/close/")
    phone.text(ALICE, to)
    phone.parts(ALICE, to, 1, ref="10")
    settings.LONG_MESSAGE_TIMEOUT_SECONDS = 0
    relay_incomplete_long_messages()
    release_cooled_down()
    Relay().send_due()


def change_the_pool(carrier):
    carrier.offers = [offer(ALICE), offer("+447700900701")]
    carrier.account = {BOB: "", "+447700900702": ""}
    for command in (
        ["provision_numbers", "--country=GB", "--count=1", "--yes"],
        ["sync_numbers"],
        ["sync_numbers", "--fix"],
    ):
        run(*command)


def run(*command):
    """Run a command. It may exit with a code of its own, such as for a route that leads nowhere."""
    with suppress(CommandError):
        call_command(*command, stdout=io.StringIO(), stderr=io.StringIO())


def provoke_errors():
    """Let statements fail: the server logs each with its parameters."""
    with pytest.raises(IntegrityError):
        RealNumber.objects.add([ALICE])
    with pytest.raises(IntegrityError):
        add_number("+447700900500", NumberState.ACTIVE)


def browse(staff):
    """Open each list of the admin and its first record, and search each list for numbers of people."""
    for model, page in admin.site._registry.items():
        assert isinstance(page, GuardedList)
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        searches = ["", ALICE, BOB[1:], "+52 55 1234 5678"] if page.search_fields else [""]
        for search in [] if page.has_invented_numbers else searches:
            address = reverse(f"{name}_changelist")
            assert staff.get(address, {"q": search} if search else {}, follow=True).status_code == 200
        if row := model._default_manager.first():
            staff.get(reverse(f"{name}_change", args=[row.pk]))
    file = SimpleUploadedFile("numbers.csv", f"number,country\n{ALICE},GB\n+447700900710,GB\n".encode())
    answer = staff.post(reverse("admin:numbers_virtualnumber_import"), {"import_file": file})
    assert "belongs to a person" in answer.content.decode()
    for number in (ALICE, "+5215512345678", STRANGER):
        staff.post(reverse("admin:numbers_realnumber_find"), {"number": number})
        staff.post(reverse("admin:find"), {"q": number}, follow=True)
    for person in RealNumber.objects.all():
        staff.post(reverse("admin:reveal", args=["number", person.pk]), {"reason": "ticket 4711"}, follow=True)
    for own in ("index", "inbox", "pool", "staff_auditentry_changelist"):
        assert staff.get(reverse(f"admin:{own}")).status_code == 200


def secrets_in(text):
    return [line for line in text.splitlines() if any(each in re.sub(r"[ ().-]", "", line) for each in SECRETS)]


def test_the_database_server_sees_no_real_number_and_no_text(watch, market, staff, settings):
    carrier = Rentals()
    with override(carrier):
        talk_and_close(market, settings)
        change_the_pool(carrier)
    provoke_errors()
    run("explain_route", ALICE, "+447700900500")
    run("explain_assignment", ALICE, BOB)
    browse(staff)
    watch.look()

    outcomes = set(InboundMessage.objects.values_list("outcome", flat=True))
    assert outcomes >= {"relayed", "no_route", "part", "loop", "ended", "undecodable"}
    log = watch.cluster.read_log()
    assert "conversations_participant" in log
    assert RealNumber.objects.with_number(ALICE).get().number_hash in log
    assert len(watch.seen) > 100
    assert secrets_in(log) == []
    assert secrets_in("\n".join(watch.seen)) == []


@pytest.mark.usefixtures("_database")
def test_a_server_that_logs_everything_would_show_a_number(watch):
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT %s", ["Bea, +447799 888777"])
    before = watch.cluster.read_log()

    assert "447799 888777" in before
    assert "447799 888777" in "\n".join(watch.seen)
