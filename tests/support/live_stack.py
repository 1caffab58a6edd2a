"""gunicorn and two workers on one database, while texts come in and go out through a stub carrier."""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.demo_process import PATIENCE
from tests.support.gunicorn_process import Gunicorn
from tests.support.relay_process import Relays, wait_until
from tests.support.signing import signed_inbound
from tests.support.stub_carrier import StubCarrier

PAIRS = 6
_SCENE = f"""
import json
from tests.support.builders import add_numbers, proxies, talk
add_numbers({PAIRS})
people = [(f"+4477007{{2 * pair:05}}", f"+4477007{{2 * pair + 1:05}}") for pair in range({PAIRS})]
print(json.dumps([(alice, proxies(talk(alice, bob))[0]) for alice, bob in people]))
"""
Query = Callable[[str], list[Any]]


class LiveStack:
    """Texts from one of each pair to the other, and what became of them. Use `live_stack`.

    query: runs SQL on the database that is in use. acknowledged: the texts that got 200.
    """

    def __init__(self, query: Query, stub: StubCarrier, server: Gunicorn, relays: Relays) -> None:
        self.query, self.stub, self.server, self.relays = query, stub, server, relays
        self.workers = [relays.start(), relays.start()]
        wait_until(lambda: query("SELECT count(*) FROM conversations_worker") == [(2,)])
        self._routes = json.loads(server.manage("shell", "-v0", "-c", _SCENE))
        self._numbers = [count() for _ in self._routes]
        self.answers: Counter[Any] = Counter()
        self.acknowledged: set[str] = set()

    def text(self, pair: int) -> None:
        """Send a text from one of the pair to the other, and repeat it until it is accepted, as Vonage would."""
        words = f"{pair}: {next(self._numbers[pair])}"
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            answer = self._post(words)
            self.answers[answer] += 1
            if answer == 200:
                self.acknowledged.add(words)
                return
            threading.Event().wait(0.2)
        raise AssertionError(f"a text was not accepted within {PATIENCE} seconds: {self.answers}")

    def repeat_all(self) -> set[Any]:
        """Send each acknowledged text once more, as a carrier may. Return the answers."""
        return {self._post(words) for words in self.acknowledged}

    def _post(self, words: str) -> Any:
        sender, to = self._routes[int(words.partition(":")[0])]
        params = signed_inbound(msisdn=sender[1:], to=to[1:], text=words, messageId=words.replace(": ", "-"))
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/webhooks/vonage/inbound-sms", json.dumps(params), headers)
            return connection.getresponse().status
        except (OSError, HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()

    @contextmanager
    def texts_keep_coming(self, *, pause: float = 0.2) -> Iterator[None]:
        """Send texts until the body ends. pause: seconds between two texts of a pair."""
        enough = threading.Event()

        def keep_texting(pair: int) -> None:
            while not enough.wait(pause):
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

    def wait_for_more(self, texts: int = PAIRS) -> None:
        """Wait until this many more texts are acknowledged."""
        before = len(self.acknowledged)
        wait_until(lambda: len(self.acknowledged) >= before + texts)

    def is_idle(self) -> bool:
        states = "SELECT count(*) FROM conversations_outboundmessage WHERE state IN ('queued', 'sending')"
        return self.query(states) == [(0,)]

    def arrived(self) -> list[tuple[str, str]]:
        """Return (client-ref without the attempt, text) of each message at the carrier."""
        params = [request["params"] for request in self.stub.requests]
        return [(each["client-ref"].partition(".")[0], each["text"]) for each in params]

    def check(self) -> None:
        """Check that each acknowledged text has arrived, once and in order."""
        states = dict(self.query("SELECT client_ref, state FROM conversations_outboundmessage"))
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


@contextmanager
def live_stack(directory: Path, query: Query, **settings: str) -> Iterator[LiveStack]:
    """settings: variables of the web server and of the workers, with DATABASE_URL."""
    server = Gunicorn(directory)
    server.environment |= settings
    in_no_hurry = {"CARRIER_TIMEOUT_SECONDS": "10", "SEND_LEASE_SECONDS": "30"}
    with StubCarrier(directory) as stub, server, Relays(directory, stub, **in_no_hurry, **settings) as relays:
        yield LiveStack(query, stub, server, relays)
