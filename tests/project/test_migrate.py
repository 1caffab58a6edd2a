"""`manage.py migrate` beside traffic: it waits briefly for a lock, then gives up and says what to do."""

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from smsproxy.management.commands.migrate import DEFAULT_TIMEOUT, Command
from smsproxy.simulator.models import SimulatedFault
from tests.support.relay_process import url_of_the_test

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def lock_timeout():
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        return cursor.fetchone()[0]


@pytest.fixture
def long_transaction():
    """Use a table of the simulator in a transaction that stays open."""
    with psycopg.connect(url_of_the_test()) as outside:
        outside.execute("SELECT count(*) FROM simulator_simulatedfault")
        yield outside
    call_command("migrate", verbosity=0)


def test_a_migration_that_waits_for_a_long_transaction_gives_up_and_can_be_repeated(long_transaction):
    with pytest.raises(CommandError, match=r"waited 1 seconds for a lock.*pg_stat_activity.*run `manage.py migrate`"):
        call_command("migrate", "simulator", "zero", verbosity=0, lock_timeout=1)

    assert SimulatedFault.objects.count() == 0
    assert lock_timeout() == "0"
    long_transaction.rollback()
    call_command("migrate", "simulator", "zero", verbosity=0, lock_timeout=1)
    assert SimulatedFault._meta.db_table not in connection.introspection.table_names()


@pytest.mark.parametrize(("atomic", "expected"), [(True, f"{DEFAULT_TIMEOUT}s"), (False, "0")])
def test_an_index_that_is_built_beside_traffic_may_wait(monkeypatch, atomic, expected):
    seen, report = [], Command.migration_progress_callback

    def callback(command, action, migration=None, fake=False):
        if migration:
            migration.atomic = atomic
        report(command, action, migration, fake)
        seen.append((action, lock_timeout()))

    monkeypatch.setattr(Command, "migration_progress_callback", callback)
    call_command("migrate", "simulator", "0001_initial", verbosity=0)
    call_command("migrate", "simulator", verbosity=0)

    assert ("apply_start", expected) in seen
    assert ("unapply_start", expected) in seen
