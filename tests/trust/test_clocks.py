"""The database's clock decides: a host with a wrong clock delays no message and ends no conversation early."""

import ast
from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.delivery.claim import claim
from conversations.delivery.relay import Relay
from conversations.intake import fast_path, receive
from conversations.models import AccountRateLimit, Block, Conversation, InboundMessage, OutboundMessage, Participant
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.carriers.base import InboundText, TemporaryFailure
from smsproxy.database.clock import DatabaseNow, database_now, measure_skew
from tests.project.test_architecture import APPS, ROOT, source_files
from tests.support.builders import ALICE, BOB, add_numbers, members, proxies, talk
from tests.support.outbox import queue, state_of

pytestmark = pytest.mark.django_db

TEN_MINUTES = 600
A_MOMENT = timedelta(seconds=60)

needs_two_clocks = pytest.mark.postgres  # A SQLite database has the clock of its host.
both_paths = pytest.mark.parametrize("is_fast", [True, False], ids=["fast path", "general path"])


@pytest.fixture(autouse=True)
def _pool(db):
    add_numbers(3)


@pytest.fixture
def path(monkeypatch):
    def choose(is_fast):
        if not is_fast:
            monkeypatch.setattr(fast_path, "is_available", lambda: False)

    return choose


def receive_text(conversation, *, sender=0):
    text = InboundText(
        carrier_message_id="in-1", sender=[ALICE, BOB][sender], recipient=proxies(conversation)[sender], text="hello"
    )
    receive.receive(text)
    return InboundMessage.objects.get(carrier_message_id="in-1")


def is_now(moment, *, plus=0):
    """Return whether the moment is that many seconds after the database's present time."""
    return abs(moment - timedelta(seconds=plus) - database_now()) < A_MOMENT


def test_the_database_tells_its_time_in_python_in_sql_and_in_the_orm(time_machine):
    time_machine.move_to("2031-05-01 12:00:00.250Z", tick=False)
    conversation = talk(ALICE, BOB)
    Conversation.objects.update(closed_at=DatabaseNow())

    conversation.refresh_from_db()

    assert conversation.closed_at == database_now() == timezone.now()
    assert receive_text(conversation).received_at == timezone.now()


@needs_two_clocks
@pytest.mark.parametrize("seconds", [TEN_MINUTES, -TEN_MINUTES])
def test_the_skew_of_a_host_is_measured_in_seconds(shift_host, seconds):
    shift_host(seconds)

    assert measure_skew() == pytest.approx(seconds, abs=1)


@needs_two_clocks
@both_paths
@pytest.mark.parametrize("limit", ["ttl", "idle_ttl"])
def test_a_host_ten_minutes_ahead_ends_no_conversation_early(shift_host, path, is_fast, limit):
    path(is_fast)
    conversation = talk(ALICE, BOB, **{limit: 300})  # type: ignore[arg-type]
    shift_host(TEN_MINUTES)

    assert receive_text(conversation).outcome == "relayed"
    run_jobs()

    conversation.refresh_from_db()
    assert conversation.state == "open"
    end = conversation.expires_at if limit == "ttl" else conversation.idle_at
    assert is_now(end, plus=300)
    assert conversation in Conversation.objects.open_now()
    assert conversation not in Conversation.objects.ended()


@needs_two_clocks
@both_paths
def test_a_host_ten_minutes_behind_prolongs_no_conversation(shift_host, path, is_fast):
    path(is_fast)
    conversation = talk(ALICE, BOB, ttl=300)
    Conversation.objects.update(expires_at=database_now() - timedelta(seconds=10))
    shift_host(-TEN_MINUTES)

    assert receive_text(conversation).outcome == "ended"


@needs_two_clocks
@both_paths
def test_a_text_that_a_host_ten_minutes_ahead_received_is_sent_at_once(shift_host, path, is_fast):
    path(is_fast)
    conversation = talk(ALICE, BOB)
    shift_host(TEN_MINUTES)

    received = receive_text(conversation)
    relayed = OutboundMessage.objects.get()

    assert is_now(received.received_at)
    assert is_now(relayed.created_at)
    assert is_now(relayed.due_at)
    shift_host(0)
    assert [each.message for each in claim(10).messages] == [relayed]


@needs_two_clocks
def test_a_conversation_that_a_host_ten_minutes_ahead_created_begins_now(shift_host):
    shift_host(TEN_MINUTES)

    conversation = talk(ALICE, BOB, ttl=300, idle_ttl=200, notify=True)

    assert is_now(conversation.created_at)
    assert is_now(conversation.expires_at, plus=300)
    assert is_now(conversation.idle_at, plus=200)
    assert all(is_now(each.created_at) for each in members(conversation))
    shift_host(0)
    assert len(claim(10).messages) == 2  # The confirmations.


@needs_two_clocks
def test_a_worker_ten_minutes_ahead_releases_no_pair_early(shift_host, settings):
    settings.COOL_DOWN_SECONDS = 300
    conversation = talk(ALICE, BOB)
    shift_host(TEN_MINUTES)

    conversation.close()
    run_jobs()

    assert all(is_now(each.release_at, plus=300) for each in members(conversation))
    assert Participant.objects.released().count() == 0


@needs_two_clocks
def test_a_worker_ten_minutes_ahead_keeps_the_leases_of_others(shift_host, carrier, settings):
    bob = members(talk(ALICE, BOB))[1]
    [message] = queue(bob, "hello")
    claim(1)

    shift_host(TEN_MINUTES)
    run_jobs()

    assert state_of(message) == "sending"


@needs_two_clocks
def test_a_worker_ten_minutes_ahead_claims_sends_and_retries_by_the_database(shift_host, carrier, settings):
    bob = members(talk(ALICE, BOB))[1]
    [message] = queue(bob, "hello")
    carrier.script = [TemporaryFailure("busy", retry_after=30)]
    shift_host(TEN_MINUTES)

    [claimed] = claim(1).messages
    assert is_now(claimed.message.lease_until, plus=settings.SEND_LEASE_SECONDS)
    assert Relay()._precheck(claimed) is None
    message.refresh_from_db()
    message.retry(after=0, reason="for this test")
    Relay().send_due()

    message.refresh_from_db()
    assert is_now(message.due_at, plus=30)
    assert AccountRateLimit.load().ready_at < database_now() + A_MOMENT


@needs_two_clocks
def test_a_block_ends_at_its_time_on_every_host(shift_host):
    conversation = talk(ALICE, BOB)
    alice = members(conversation)[0].real_number
    Block.objects.create(person=alice, reason="spam", created_by="x", until=database_now() + timedelta(seconds=300))
    shift_host(TEN_MINUTES)

    assert Block.objects.active().count() == 1
    assert receive_text(conversation).outcome == "blocked"


# Where the host's own clock may be read: for times that only inform people, or that this process alone compares.
HOST_CLOCK_IS_READ_IN = {
    "conversations/delivery/circuit_breaker.py",
    "conversations/delivery/claimed.py",
    # How long ago that was, for people.
    "conversations/admin/inbox/wording.py",
    # Whether a certificate ends soon, for people.
    "conversations/insight/doctor/site.py",
    # How much waits for people, beside the door of the inbox.
    "conversations/insight/waiting_count.py",
    "conversations/models/block.py",
    # What an answer shows.
    "conversations/models/conversation_terms.py",
    "conversations/models/receipt.py",
    "conversations/models/rejected_webhook.py",
    "conversations/models/unreadable_row.py",
    "conversations/models/worker.py",
    "conversations/planning/plan.py",
    "numbers/admin/csv_import.py",
    "numbers/lookup.py",
    "numbers/models/number_order.py",
    "numbers/models/pool.py",
    "numbers/models/real_number.py",
    "numbers/models/shortage.py",
    "numbers/models/top_up.py",
    "numbers/models/virtual_number.py",
    "smsproxy/api/admin.py",
    "smsproxy/api/management/arguments.py",
    "smsproxy/api/management/commands/list_api_keys.py",
    "smsproxy/api/models.py",
    "smsproxy/checks.py",
    "smsproxy/database/clock.py",
    "smsproxy/services/models.py",
    "smsproxy/simulator/models.py",
    "smsproxy/states.py",
    # How long ago something was, for people.
    "conversations/phones/state.py",
    # Sessions, wrong passwords and codes of staff, and how many of them are recorded.
    "smsproxy/sign_in/records.py",
    "smsproxy/sign_in/second_factor.py",
    "smsproxy/sign_in/sessions.py",
    "smsproxy/simulator/carrier.py",
    "smsproxy/simulator/network.py",
}


def test_only_listed_modules_read_the_clock_of_the_host():
    found = {
        str(path.relative_to(ROOT))
        for path in source_files(*APPS)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "timezone.now"
    }

    assert found == HOST_CLOCK_IS_READ_IN
