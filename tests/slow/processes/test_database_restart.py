"""PostgreSQL restarts, cuts connections, has no room left, or is lost to its standby, while texts come and go."""

import threading
from contextlib import ExitStack, suppress

import pytest

from tests.support.live_stack import PAIRS, live_stack
from tests.support.postgres_cluster import Cluster, NoCluster, Standby
from tests.support.relay_process import wait_until
from tests.support.small_disk import NoDisk, small_disk

pytestmark = pytest.mark.postgres

OTHERS = "pid FROM pg_stat_activity WHERE datname = 'postgres' AND pid <> pg_backend_pid()"
LISTENERS = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"


class Replicated:
    """A primary and its standby. `url` names both, so that all programs use the one that accepts writes.

    in_use: that one. disks: of both, or none if this user may not mount any.
    """

    def __init__(self, primary, standby, disks):
        self.in_use, self._standby, self._disks = primary, standby, disks
        hosts = ",".join(f"127.0.0.1:{cluster.port}" for cluster in (primary, standby))
        self.url = f"postgres://postgres@{hosts}/postgres?target_session_attrs=read-write"

    def query(self, statement):
        return self.in_use.query(statement)

    def fail_over(self):
        self.in_use.kill()
        self._standby.promote()
        self.in_use = self._standby

    def full_disk(self):
        if not self._disks:
            pytest.skip("needs root, to mount a small file system")
        return self._disks["standby" if self.in_use is self._standby else "primary"].full()


@pytest.fixture(scope="module")
def database():
    with ExitStack() as stack:
        disks = {}
        with suppress(NoDisk):
            for cluster in ("primary", "standby"):
                disks[cluster] = stack.enter_context(small_disk(megabytes=256))
        places = {name: disk.path for name, disk in disks.items()}
        try:
            primary = stack.enter_context(Cluster(parent=places.get("primary")))
            standby = stack.enter_context(Standby(primary, parent=places.get("standby")))
        except NoCluster as error:
            pytest.skip(f"needs two separate PostgreSQL servers: {error}")
        yield Replicated(primary, standby, disks)


@pytest.fixture(scope="module")
def world(tmp_path_factory, database):
    with live_stack(tmp_path_factory.mktemp("restarts"), database.query, DATABASE_URL=database.url) as world:
        yield world


@pytest.fixture(autouse=True)
def _forget_answers(world):
    world.answers.clear()


def test_a_restart_of_the_database_loses_nothing_and_sends_nothing_twice(world, database):
    with world.texts_keep_coming():
        for mode in ("immediate", "fast"):
            threading.Event().wait(3)
            database.in_use.restart(mode)
            world.wait_for_more()
    wait_until(world.is_idle)

    world.check()
    assert set(world.answers) <= {200, 503}
    assert world.answers[200] > 30


def test_the_workers_send_and_listen_again_after_their_connections_are_cut(world, database):
    wait_until(world.is_idle)
    # Connections of each worker's loop, periodic jobs and listener. After a restart, each reconnects later.
    wait_until(lambda: len(database.query(f"SELECT {OTHERS}")) >= 2 * 3)
    database.query(f"SELECT pg_terminate_backend(pid), {OTHERS}")
    for pair in range(PAIRS):
        world.text(pair)

    wait_until(lambda: {words for _, words in world.arrived()} >= world.acknowledged)
    wait_until(lambda: len(database.query(LISTENERS)) == 2)
    wait_until(world.is_idle)
    world.check()


def test_while_the_disk_of_the_database_is_full_texts_get_a_503_and_then_all_goes_on(world, database):
    with world.texts_keep_coming():
        world.wait_for_more()
        with database.full_disk():
            wait_until(lambda: world.answers[503] > PAIRS)
        world.wait_for_more()
    wait_until(world.is_idle)

    world.check()
    assert set(world.answers) == {200, 503}


def test_a_promoted_standby_has_all_that_was_acknowledged_and_repeats_have_no_effect(world, database):
    with world.texts_keep_coming():
        world.wait_for_more()
        database.fail_over()
        world.wait_for_more()
    wait_until(world.is_idle)
    assert world.repeat_all() == {200}
    wait_until(world.is_idle)

    world.check()
    assert set(world.answers) <= {200, 503}
