"""A steady flow of texts to people, and the order in which they reached the carrier."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import connection

from conversations.delivery import outbox
from conversations.models import OutboundMessage, Participant


@contextmanager
def texts_keep_coming(people: Iterable[Participant], rate: float) -> Iterator[None]:
    """Queue a text to one of these people after another until the body ends. rate: texts per second."""
    enough = threading.Event()

    def queue() -> None:
        start = time.monotonic()
        for index, person in enumerate(people):
            if enough.wait(max(0, start + index / rate - time.monotonic())):
                break
            outbox.queue_notice(person, "hello")
        connection.close()

    flow = threading.Thread(target=queue)
    flow.start()
    try:
        yield
    finally:
        enough.set()
        flow.join()


def assert_in_order(client_refs: list[str], *, lines: int) -> None:
    """Check that the messages of each line are in the order in which they were queued.

    client_refs: each message once, without the number of the attempt. lines: the expected number of lines.
    """
    rows = OutboundMessage.objects.values_list("client_ref", "pk", "sender", "recipient")
    places = {client_ref: (pk, (sender, recipient)) for client_ref, pk, sender, recipient in rows}
    found = defaultdict(list)
    for client_ref in client_refs:
        place, line = places[client_ref]
        found[line].append(place)
    assert len(found) == lines
    for queued in found.values():
        assert queued == sorted(queued)
