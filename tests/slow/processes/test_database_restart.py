"""Gunicorn and the workers survive a restart of PostgreSQL and cut connections, while texts come in and go out."""

import json
import threading
from collections import Counter, defaultdict
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import count

import pytest

from tests.support.gunicorn_process import Gunicorn
from tests.support.postgres_cluster import Cluster, NoCluster
from tests.support.relay_process import Relays, wait_until
from tests.support.signing import signed_inbound
from tests.support.stub_carrier import StubCarrier

pytestmark = pytest.mark.postgres

PAIRS = 6
SCENE = f"""
import json
from tests.support.builders import add_numbers, proxies, talk
add_numbers({PAIRS})
people = [(f"+4477007{{2 * pair:05}}", f"+4477007{{2 * pair + 1:05}}") for pair in range({PAIRS})]
print(json.dumps([(alice, proxies(talk(alice, bob))[0]) for alice, bob in people]))
"""
OTHERS = "pid FROM pg_stat_activity WHERE datname = 'postgres' AND pid <> pg_backend_pid()"
LISTENERS = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    directory = tmp_path_factory.mktemp("restarts")
    try:
        cluster = Cluster().__enter__()
    except NoCluster as error:
        pytest.skip(f"needs a separate PostgreSQL server: {error}")
    try:
        with StubCarrier(directory) as stub:
            yield from run(directory, cluster, stub)
    finally:
        cluster.__exit__()


def run(directory, cluster, stub):
    server = Gunicorn(directory)
    server.environment["DATABASE_URL"] = cluster.url
    in_no_hurry = {"CARRIER_TIMEOUT_SECONDS": "10", "SEND_LEASE_SECONDS": "30"}
    with server, Relays(directory, stub, DATABASE_URL=cluster.url, **in_no_hurry) as relays:
        workers = [relays.start(), relays.start()]
        wait_until(lambda: cluster.query("SELECT count(*) FROM conversations_worker") == [(2,)])
        routes = json.loads(server.manage("shell", "-v0", "-c", SCENE))
        yield World(cluster, stub, server, relays, workers, routes)


class World:
    def __init__(self, cluster, stub, server, relays, workers, routes):
        self.cluster, self.stub, self.relays, self.workers = cluster, stub, relays, workers
        self._port = server.port
        self._routes = routes
        self._numbers = [count() for _ in routes]
        self.answers = Counter()
        self.acknowledged = set()

    def text(self, pair):
        """Send a text from one of the pair to the other, and repeat it until it is accepted, as Vonage would."""
        sender, to = self._routes[pair]
        words = f"{pair}: {next(self._numbers[pair])}"
        while True:
            params = signed_inbound(msisdn=sender[1:], to=to[1:], text=words, messageId=words.replace(": ", "-"))
            answer = self._post(json.dumps(params))
            self.answers[answer] += 1
            if answer == 200:
                self.acknowledged.add(words)
                return
            threading.Event().wait(0.2)

    def _post(self, body):
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("POST", "/webhooks/vonage/inbound-sms", body, {"Content-Type": "application/json"})
            return connection.getresponse().status
        except (OSError, HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()

    @contextmanager
    def texts_keep_coming(self):
        enough = threading.Event()

        def keep_texting(pair):
            while not enough.wait(0.2):
                self.text(pair)

        flows = [threading.Thread(target=keep_texting, args=[pair]) for pair in range(PAIRS)]
        for flow in flows:
            flow.start()
        try:
            yield
        finally:
            enough.set()
            for flow in flows:
                flow.join()

    def is_idle(self):
        states = "SELECT count(*) FROM conversations_outboundmessage WHERE state IN ('queued', 'sending')"
        return self.cluster.query(states) == [(0,)]

    def arrived(self):
        """Return (client-ref without the attempt, text) of each message at the carrier."""
        params = [request["params"] for request in self.stub.requests]
        return [(each["client-ref"].partition(".")[0], each["text"]) for each in params]

    def check(self):
        """Check that each acknowledged text has arrived, once and in order."""
        states = dict(self.cluster.query("SELECT client_ref, state FROM conversations_outboundmessage"))
        arrived = self.arrived()
        assert len(states) == len(self.acknowledged)
        assert set(states.values()) == {"sent"}
        assert {words for _, words in arrived} == self.acknowledged
        assert len(arrived) == len(self.acknowledged)
        lines = defaultdict(list)
        for _, words in arrived:
            pair, number = words.split(": ")
            lines[pair].append(int(number))
        assert all(line == sorted(line) for line in lines.values())
        assert all(worker.poll() is None for worker in self.workers)
        assert "Traceback" not in self.relays.log, "a thread has ended"


def test_a_restart_of_the_database_loses_nothing_and_sends_nothing_twice(world):
    world.answers.clear()
    with world.texts_keep_coming():
        for mode in ("immediate", "fast"):
            threading.Event().wait(3)
            before = len(world.acknowledged)
            world.cluster.restart(mode)
            wait_until(lambda before=before: len(world.acknowledged) > before + PAIRS)
    wait_until(world.is_idle)

    world.check()
    assert set(world.answers) <= {200, 503}
    assert world.answers[200] > 30


def test_the_workers_send_and_listen_again_after_their_connections_are_cut(world):
    wait_until(world.is_idle)
    # Connections of each worker's loop, periodic jobs and listener. After a restart, each reconnects later.
    wait_until(lambda: len(world.cluster.query(f"SELECT {OTHERS}")) >= 2 * 3)
    world.cluster.query(f"SELECT pg_terminate_backend(pid), {OTHERS}")
    for pair in range(PAIRS):
        world.text(pair)

    wait_until(lambda: {words for _, words in world.arrived()} >= world.acknowledged)
    wait_until(lambda: len(world.cluster.query(LISTENERS)) == 2)
    wait_until(world.is_idle)
    world.check()
