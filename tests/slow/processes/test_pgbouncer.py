"""Behind PgBouncer in transaction mode, with fewer sessions than clients; and a start with the wrong settings."""

import os
import re
import socket
import subprocess
import sys
from contextlib import ExitStack, closing

import environ
import psycopg
import pytest
from django.test import override_settings

from conversations.delivery import wakeup
from smsproxy.database.configuration import complete, complete_direct
from smsproxy.database.pooler import WrongPooler, check_pooler
from tests.support.demo_process import PATIENCE, ROOT
from tests.support.gunicorn_process import Gunicorn
from tests.support.live_stack import live_stack
from tests.support.pgbouncer import NoPgBouncer, PgBouncer
from tests.support.postgres_cluster import Cluster, NoCluster
from tests.support.relay_process import wait_until

pytestmark = pytest.mark.postgres

POOL_SIZE = 3
LISTENERS = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
# What docs/database.md asks the operator to run.
PREPARE_ROLE = [
    "ALTER ROLE CURRENT_USER SET idle_in_transaction_session_timeout = '30s'",
    "ALTER ROLE CURRENT_USER SET client_connection_check_interval = '2s'",
    "ALTER ROLE CURRENT_USER SET jit = 'off'",
]


@pytest.fixture(scope="module")
def servers():
    """Return a database server, a pooler that refuses parameters of the session, and one that ignores them."""
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(Cluster())
            for statement in PREPARE_ROLE:
                cluster.query(statement)
            strict = stack.enter_context(PgBouncer(cluster, pool_size=POOL_SIZE))
            lenient = stack.enter_context(PgBouncer(cluster, "ignore_startup_parameters=options"))
        except (NoCluster, NoPgBouncer) as error:
            pytest.skip(f"needs PgBouncer and a separate PostgreSQL server: {error}")
        yield cluster, strict, lenient


def test_texts_arrive_once_and_in_order_through_fewer_sessions_than_clients(servers, tmp_path):
    cluster, pgbouncer, _ = servers
    pooled = {"DATABASE_POOLED": "true", "DATABASE_URL": pgbouncer.url(), "DATABASE_DIRECT_URL": cluster.url}
    with live_stack(tmp_path, cluster.query, **pooled) as world:
        wait_until(lambda: len(cluster.query(LISTENERS)) == 2)
        with world.texts_keep_coming(pause=0.01):
            world.wait_for_more(150)
            [pool] = [each for each in pgbouncer.show("pools") if each["database"] == "transaction"]
            cluster.restart("immediate")
            world.wait_for_more()
        wait_until(world.is_idle)

        world.check()
        assert set(world.answers) <= {200, 503}
    clients = int(pool["cl_active"]) + int(pool["cl_waiting"])
    assert clients > int(pool["sv_active"]) + int(pool["sv_idle"]) == POOL_SIZE


def check(url, *, pooled=False, direct=None):
    check_pooler(database(url, pooled=pooled), complete_direct(direct and parse(direct)), is_pooled=pooled)


def database(url, *, pooled=False):
    return complete(parse(url), is_pooled=pooled)


def parse(url):
    return environ.Env.db_url_config(url)


def test_the_database_itself_and_a_pooler_in_session_mode_suit_any_setting(servers, caplog):
    cluster, strict, lenient = servers

    for pooled in (False, True):
        check(cluster.url, pooled=pooled)
        check(lenient.url("session"), pooled=pooled)
    check(strict.url("session"), pooled=True)
    check(strict.url(), pooled=True, direct=cluster.url)

    assert caplog.messages == []


@pytest.mark.parametrize(
    ("pooler", "mode", "says"),
    [
        ("lenient", "transaction", "found a pooler in transaction mode. Set DATABASE_POOLED=true."),
        ("strict", "transaction", "found PgBouncer, which refuses the parameters.* Set DATABASE_POOLED=true."),
        ("strict", "session", "found PgBouncer, which refuses the parameters.* Set DATABASE_POOLED=true."),
        ("lenient", "statement", "found one in statement mode.* Set pool_mode=transaction"),
    ],
)
def test_a_pooler_that_the_settings_do_not_expect_is_refused_with_the_fix(servers, pooler, mode, says):
    _, strict, lenient = servers

    with pytest.raises(WrongPooler, match=f"^DATABASE_URL: expected .* {says}"):
        check({"strict": strict, "lenient": lenient}[pooler].url(mode))


def test_a_busy_pooler_is_found_too(servers):
    """Other clients hold sessions and change them all the time."""
    _, _, lenient = servers
    with ExitStack() as stack:
        others = [stack.enter_context(psycopg.connect(lenient.url())) for _ in range(2)]
        for other in others:
            other.execute("SELECT 1")  # It is in a transaction.

        with pytest.raises(WrongPooler):
            check(lenient.url())


def test_a_direct_url_that_is_not_direct_or_leads_elsewhere_is_refused(servers):
    cluster, strict, lenient = servers
    elsewhere = cluster.url.removesuffix("/postgres") + "/template1"

    for direct, says in [
        (lenient.url(), "found a pooler in transaction mode"),
        (strict.url(), "found PgBouncer"),
        (elsewhere, "found another one"),
    ]:
        with pytest.raises(WrongPooler, match=f"^DATABASE_DIRECT_URL: expected .*{says}"):
            check(strict.url(), pooled=True, direct=direct)


def test_a_database_that_is_away_is_not_taken_for_a_pooler(caplog):
    check("postgres://postgres@127.0.0.1:1/postgres")

    assert "the database is unavailable" in caplog.text


def test_parameters_that_the_role_lacks_are_named_with_statements_that_set_them(servers, caplog):
    cluster, _, _ = servers
    cluster.query("CREATE ROLE fresh LOGIN")
    url = cluster.url.replace("postgres@", "fresh@")

    check(url, pooled=True)
    [fix] = re.findall("Run: (.*) Then reconnect.", caplog.text)
    caplog.clear()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(fix)
    check(url, pooled=True)

    assert caplog.messages == []
    assert set(fix.removesuffix(";").split("; ")) == set(PREPARE_ROLE)


def test_the_web_server_and_a_worker_refuse_to_start_behind_a_pooler_without_the_setting(servers, tmp_path):
    _, _, lenient = servers
    environment = {**Gunicorn(tmp_path).environment, "DATABASE_URL": lenient.url()}

    for command in (["-m", "gunicorn", "smsproxy.wsgi", "--bind", "127.0.0.1:0"], ["manage.py", "relay"]):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 1
        assert "smsproxy cannot start: DATABASE_URL: expected PostgreSQL itself, found a pooler" in done.stderr
        assert "Set DATABASE_POOLED=true." in done.stderr
        assert "Traceback" not in done.stderr


def test_a_query_that_the_watchdog_abandons_ends_at_the_server(servers):
    """The watchdog shuts down the connection to the pooler, which ends its own connection to the server."""
    cluster, pgbouncer, _ = servers
    sleepers = "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'"
    with closing(psycopg.connect(pgbouncer.url())) as session:
        session.pgconn.send_query(b"SELECT pg_sleep(600)")
        session.pgconn.flush()
        wait_until(lambda: cluster.query(sleepers))

        with socket.socket(fileno=os.dup(session.pgconn.socket)) as wire:
            wire.shutdown(socket.SHUT_RDWR)

        wait_until(lambda: not cluster.query(sleepers))


@pytest.mark.django_db(transaction=True)
@override_settings(DATABASE_POOLED=True, DATABASE_DIRECT=None)
def test_a_worker_without_a_direct_connection_does_not_listen():
    """Its session would not be its own. It polls."""
    listener = wakeup.Listener()

    listener.start()
    listener.join(PATIENCE)

    assert not listener.is_alive()
