"""The oldest transaction of the database: which count, and which do not."""

from contextlib import closing

import psycopg
import pytest
from django.db import connection

from smsproxy.database.activity import longest_transaction, sees_all_transactions

on_postgres = [pytest.mark.django_db, pytest.mark.postgres]


@pytest.fixture
def client():
    """Return another client of the same database, in autocommit."""
    parameters = connection.get_connection_params() | {"autocommit": True, "application_name": "report"}
    with closing(psycopg.connect(**parameters)) as client:
        yield client


class TestOnPostgreSQL:
    pytestmark = on_postgres

    def test_a_client_that_keeps_a_snapshot_is_found_with_its_age_and_its_name(self, client):
        client.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        client.execute("SELECT pg_sleep(0.1)")

        found = longest_transaction()

        assert (found.pid, found.application, found.state) == (
            client.info.backend_pid,
            "report",
            "idle in transaction",
        )
        assert 0.1 <= found.seconds < 600

    def test_a_client_that_has_written_is_found(self, client):
        client.execute("BEGIN")
        client.execute("CREATE TABLE not_committed ()")

        assert longest_transaction().pid == client.info.backend_pid

    def test_the_oldest_of_several_is_found(self, client):
        client.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        client.execute("SELECT 1")
        with closing(psycopg.connect(**connection.get_connection_params())) as younger:
            younger.execute("CREATE TABLE not_committed ()")

            assert longest_transaction().pid == client.info.backend_pid

    def test_a_transaction_that_keeps_no_row_alive_does_not_count(self, client):
        """Between two statements at READ COMMITTED it has no snapshot."""
        client.execute("BEGIN")
        client.execute("SELECT 1")

        assert longest_transaction() is None

    def test_our_own_query_does_not_count(self):
        assert longest_transaction() is None

    def test_a_role_without_the_right_to_see_others_is_told_apart(self):
        assert sees_all_transactions()

        with connection.cursor() as cursor:
            cursor.execute("CREATE ROLE sees_only_itself")
            try:
                cursor.execute("SET ROLE sees_only_itself")
                assert not sees_all_transactions()
            finally:
                cursor.execute("RESET ROLE")
                cursor.execute("DROP ROLE sees_only_itself")


@pytest.mark.django_db
def test_sqlite_has_no_long_transactions():
    if connection.vendor == "sqlite":
        assert longest_transaction() is None
    assert sees_all_transactions()
