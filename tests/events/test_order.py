"""A reader that goes on from a cursor misses no event, whatever the order in which transactions begin and commit."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from django.db import connection, transaction
from django.utils import timezone

from conversations.intake.receive import receive
from smsproxy.carriers.base import InboundText
from smsproxy.events import feed
from smsproxy.events.models import FeedEvent
from smsproxy.events.record import NewEvent, record
from smsproxy.events.types import EventType
from smsproxy.services.models import DEFAULT_SERVICE_ID, Service
from tests.support.builders import add_numbers, proxies, talk
from tests.support.concurrency import at_once

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

WRITERS = 8
PERSON = "+4477009010{:02}"


def write(service_id=DEFAULT_SERVICE_ID, how_many=1):
    record(*(NewEvent(type=EventType.CONVERSATION_HELD, service_id=service_id) for _ in range(how_many)))


class Reader:
    """Follows the feed of the default service, page by page."""

    def __init__(self):
        self.position = feed.BEGINNING
        self.seen = []

    def poll(self):
        page = feed.read(DEFAULT_SERVICE_ID, self.position, limit=5, is_operator=False)
        self.seen += [event.pk for event in page.events]
        self.position = feed.Position.parse(page.cursor)
        return bool(page.events)


class Writer:
    """A connection of its own, in a thread that does one thing after another when it is told to."""

    def __init__(self, which, proxy):
        self._thread = ThreadPoolExecutor(1)
        self._sender, self._proxy = PERSON.format(2 * which), proxy
        self._ids = count()
        self._open = []

    def do(self, what):
        return self._thread.submit(what).result()

    def step(self, chance):
        if not self._open:
            return self.do(self._begin)
        return self.do(chance.choice([self._commit, self._roll_back, self._record, self._record, self._text]))

    def finish(self):
        if self._open:
            self.do(self._commit)

    def close(self):
        self.finish()
        self.do(lambda: connection.close())
        self._thread.shutdown()

    def _begin(self):
        self._open.append(transaction.atomic())
        self._open[0].__enter__()

    def _commit(self):
        self._open.pop().__exit__(None, None, None)

    def _roll_back(self):
        transaction.set_rollback(True)
        self._commit()

    def _record(self):
        write(how_many=2)

    def _text(self):
        """Let the fast path write in this transaction."""
        name = f"{self._sender}-{next(self._ids)}"
        text = {"sender": self._sender, "recipient": self._proxy, "text": "on my way", "sent_at": timezone.now()}
        receive(InboundText(carrier_message_id=name, **text))


@pytest.fixture
def writers():
    Service.objects.ensure_default()
    add_numbers(2)
    crowd = []
    for which in range(WRITERS):
        conversation = talk(PERSON.format(2 * which), PERSON.format(2 * which + 1))
        crowd.append(Writer(which, proxies(conversation)[0]))
    yield crowd
    for writer in crowd:
        writer.close()


@pytest.mark.parametrize("seed", range(4))
def test_no_event_is_missed_while_transactions_stay_open_in_any_pattern(writers, seed):
    chance = random.Random(seed)
    readers = [Reader(), Reader()]

    for _ in range(300):
        chance.choice(writers).step(chance)
        if chance.random() < 0.5:
            chance.choice(readers).poll()
    for writer in writers:
        writer.finish()

    stored = list(FeedEvent.objects.order_by("pk").values_list("pk", flat=True))
    assert len(stored) > 100
    for reader in readers:
        while reader.poll():
            pass
        assert reader.seen == stored


def test_no_event_is_missed_while_many_write_as_fast_as_they_can():
    Service.objects.ensure_default()
    writing = threading.Semaphore(0)

    def work(index):
        if index >= WRITERS:
            reader = Reader()
            while writing._value < WRITERS:
                reader.poll()
            while reader.poll():
                pass
            return reader.seen
        chance = random.Random(index)
        for _ in range(60):
            with transaction.atomic():
                for _ in range(chance.randrange(1, 4)):
                    write(how_many=chance.randrange(1, 3))
                    feed.read_latest()  # Time in which others go on.
        writing.release()
        return []

    *_, one, other = at_once(WRITERS + 2, work)

    stored = list(FeedEvent.objects.order_by("pk").values_list("pk", flat=True))
    assert one == stored
    assert other == stored


def test_a_transaction_takes_one_lock_whatever_it_writes_and_its_savepoints_do():
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"

    def locks():
        with connection.cursor() as cursor:
            cursor.execute(held)
            return cursor.fetchone()[0]

    with transaction.atomic():
        with transaction.atomic():
            write()
            assert locks() == 1
            transaction.set_rollback(True)
        assert locks() == 0
        for _ in range(3):
            with transaction.atomic():
                write()
        assert locks() == 1

    assert locks() == 0


def test_an_open_transaction_holds_back_later_events_of_its_feed_only_until_it_ends():
    Service.objects.ensure_default()
    reader = Reader()
    early = ThreadPoolExecutor(1)
    context = transaction.atomic()
    early.submit(context.__enter__).result()
    early.submit(write).result()
    with transaction.atomic():
        write()

    assert not reader.poll()
    early.submit(context.__exit__, None, None, None).result()
    assert reader.poll()

    assert len(reader.seen) == 2
    early.submit(lambda: connection.close()).result()
    early.shutdown()
