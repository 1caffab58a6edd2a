"""Fixtures of every test. A fixture of several rooms is in tests/support/fixtures.py, any other in its room."""

import atexit
import math
from collections import Counter

import pytest
from django.db import connection

from conversations import clock_guard
from conversations.webhooks import rejected, views
from smsproxy.api import middleware, problems
from smsproxy.database import deadline
from smsproxy.metrics import counting
from smsproxy.services import known
from smsproxy.services.models import default_service_id

# Before any helper is imported, so that a failed assertion in it shows its values as one in a test does.
pytest.register_assert_rewrite("tests.support")

pytest_plugins = [
    "tests.support.options",
    "tests.support.fixtures",
    "tests.support.database_clock",
    "tests.support.empty_database",
]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Let PostgreSQL commit without waiting for the disk: tests crash only servers of their own."""
    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            name = connection.ops.quote_name(connection.settings_dict["NAME"])
            cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
            connection.close()  # The next connection has it.


@pytest.fixture(scope="session", autouse=True)
def _no_thread_writes_counts():
    """Write counts only when a test asks for it: a thread would commit those of whichever test then runs."""
    counting.flusher.wake = lambda: None  # type: ignore[method-assign]
    atexit.unregister(counting.flusher._write_at_exit)


@pytest.fixture
def always():
    """Patch for the whole test. `monkeypatch.undo()` in a test leaves these patches as they are."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(autouse=True)
def _postgres_only(request):
    """Skip a test marked `postgres` on any other database: the test needs PostgreSQL's locks and concurrency."""
    if request.node.get_closest_marker("postgres") and connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL: make test-postgres")


@pytest.fixture(autouse=True)
def _rejections_are_counted_at_once(always):
    """Write each rejected webhook's count at once, so that no test counts those of an earlier one."""
    always.setattr(rejected, "_WRITE_INTERVAL", 0.0)
    always.setattr(rejected, "_next_write_at", 0.0)
    always.setattr(rejected, "_unwritten", Counter())
    always.setattr(rejected, "_write_later", lambda: None)  # No thread of one test runs during another.


@pytest.fixture(autouse=True)
def _counts_stay_in_memory(always):
    """Start each test without counts, write them only by `counting.flusher.flush()`, and fail on a wrong label."""

    def fail(error):
        raise error

    always.setattr(counting, "_counts", {})
    always.setattr(counting, "_reject", fail)


@pytest.fixture(autouse=True)
def _no_service_is_remembered(always):
    """Forget the services of the test before, which had the same ids. The default one was read and has no values."""
    always.setattr(known, "_known", {default_service_id(): (math.inf, known.KnownService())})


@pytest.fixture(autouse=True)
def _each_problem_is_documented(always):
    """Fail on an answer of the API whose code is in no table: it would have no documentation."""

    def fail(code):
        raise AssertionError(f"add {code} to smsproxy/api/problem_types.py, or to field_codes.py if it is of a field")

    always.setattr(problems, "_report", fail)


@pytest.fixture(autouse=True)
def _no_outage_is_remembered(always):
    always.setattr(deadline, "_next_trial", None)


@pytest.fixture(autouse=True)
def _only_this_test_s_transactions(always):
    """Tests of other processes share the server. After a journey in time, their transactions would look old."""
    always.setattr("conversations.insight.collect_status.longest_transaction", lambda: None)


@pytest.fixture(autouse=True)
def _requests_may_take_long(always):
    """Raise the deadlines of requests within the test's process: the machine may be slow."""
    always.setattr(views, "DATABASE_TIMEOUT", 60.0)
    always.setattr(middleware, "DATABASE_TIMEOUT", 60.0)


@pytest.fixture(autouse=True)
def _clock_is_not_measured(always):
    """Measure the host's clock only in tests that put another guard in the place of this one."""
    guard = clock_guard.ClockGuard()
    guard._next_at = float("inf")
    always.setattr(clock_guard, "guard", guard)
