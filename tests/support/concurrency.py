"""Concurrency: threads of a test, or processes that work at random for the same few people and numbers.

`Crowd` starts a separate Python process. There `main` forks the workers, before any database connection is open.
"""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from conversations.intake.long_messages import take_in
from conversations.intake.receive import receive
from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.replace_number import replace
from conversations.lifecycle.request import ConversationSpec, NoNumberFree, OptedOut, ParticipantSpec
from conversations.models import (
    Conversation,
    InboundMessage,
    LateMessagePolicy,
    LongMessage,
    OutboundMessage,
    OutboundState,
    Participant,
)
from conversations.worker.periodic_jobs import close_expired, relay_incomplete_long_messages, release_cooled_down
from numbers.assignment.policy import AssignmentPolicy, ExhaustionPolicy
from numbers.models import NumberState, RealNumber, VirtualNumber
from smsproxy.carriers.base import InboundText
from smsproxy.states import StaleState
from tests.support.demo_process import ROOT
from tests.support.relay_process import url_of_the_test, wait_until

PROCESSES = 16
PATIENCE = 120  # seconds

_PROGRAM = "import django; django.setup(); from tests.support.concurrency import main; main()"


def at_once(count: int, work: Callable[..., Any]) -> list[Any]:
    """Run work(0), work(1), ... in one thread each, released at the same moment; return their results."""
    start = threading.Barrier(count)

    def run(index: int) -> Any:
        try:
            start.wait(PATIENCE)
            return work(index)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def wait_for_a_lock(how_many: int = 1, *, unless: Callable[[], bool] = lambda: False) -> None:
    """Wait until how_many connections to the test's PostgreSQL database wait for a lock, or `unless` is true.

    Call it with the lock held. On return, each waiting connection has done its earlier reads.
    """
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    # Use another connection: within our own transaction, the view would not change.
    with psycopg.connect(url_of_the_test(), autocommit=True) as outside:
        wait_until(lambda: unless() or outside.execute(waiting).fetchone() == (how_many,))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the processes do. turns: actions of each process. cool_down: in seconds. cap: NUMBER_CAP."""

    seed: int
    turns: int
    people: list[str]
    cool_down: float
    cap: int


class Crowd:
    """Processes that work at random: `with Crowd(directory, plan) as crowd`.

    `crowd.is_at_work` says whether they still run, `crowd.done()` returns what they did.
    """

    def __init__(self, directory: Path, plan: Plan) -> None:
        self._plan = plan
        self._output = directory / "crowd.txt"
        self._log = directory / "crowd.log"

    def __enter__(self) -> "Crowd":
        with self._output.open("w") as output, self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, json.dumps(asdict(self._plan))],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "tests.settings",
                    "TEST_DATABASE_URL": url_of_the_test(),
                    "NUMBER_CAP": str(self._plan.cap),
                },
                stdout=output,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.is_at_work:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def is_at_work(self) -> bool:
        return self._process.poll() is None

    def done(self) -> "list[Counter[str]]":
        """Wait for the processes, and return for each one the counts of its actions and errors."""
        assert self._process.wait(PATIENCE) == 0, self._log.read_text()[-3000:]
        return [Counter(json.loads(line)) for line in self._output.read_text().splitlines()]


def main() -> None:
    plan = Plan(**json.loads(sys.argv[1]))
    # Shorter than the settings allow, so that many pairs are due for release.
    settings.COOL_DOWN_SECONDS = plan.cool_down
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        for done in pool.starmap(_work, [(plan, which) for which in range(PROCESSES)], chunksize=1):
            sys.stdout.write(json.dumps(done) + "\n")


def _work(plan: Plan, which: int) -> "Counter[str]":
    """Work as one of the processes, and return the counts of its actions and errors."""
    chance = random.Random(f"{plan.seed} {which}")
    done: Counter[str] = Counter()
    verbs = [_create] * 5 + [_close] * 4 + [_reopen] * 2 + [_sweep] * 2 + [_text] * 4 + [_long_text] * 3 + [_replace]
    for _ in range(plan.turns):
        try:
            done[chance.choice(verbs)(chance, plan)] += 1
        except Exception as error:  # noqa: BLE001 - the test decides what it means
            done[f"error: {type(error).__name__}: {error}"] += 1
    connection.close()
    return done


def _create(chance: random.Random, plan: Plan) -> str:
    people = [ParticipantSpec(number=number) for number in chance.sample(plan.people, chance.choice([2, 2, 2, 3]))]
    terms = ConversationSpec(
        notify=False,
        policy=AssignmentPolicy(on_exhausted=chance.choice(list(ExhaustionPolicy))),
        late_messages=chance.choice(list(LateMessagePolicy)),
        ttl=chance.choice([None, 1]),
    )
    try:
        create_conversation(people, terms)
    except NoNumberFree:
        return "no number free"
    except OptedOut as error:
        with suppress(StaleState):  # Otherwise nobody would be left for a conversation.
            RealNumber.objects.with_number(people[error.position].number).get().opt_in(reason="texted START")
        return "opted out"
    return "created"


def _close(chance: random.Random, plan: Plan) -> str:
    return _change(chance, "open", Conversation.close, "closed")


def _reopen(chance: random.Random, plan: Plan) -> str:
    return _change(chance, "closed", Conversation.reopen, "reopened")


def _sweep(chance: random.Random, plan: Plan) -> str:
    close_expired()
    LongMessage.objects.filter(closed_at=None, pk__in=LongMessage.objects.order_by("-pk")[5:10]).update(
        due_at=timezone.now()
    )
    relay_incomplete_long_messages()
    # A cool-down is not cut short while messages of its pair are queued.
    OutboundMessage.objects.filter(state=OutboundState.QUEUED).update(state=OutboundState.SENT)
    return "released" if release_cooled_down() else "nothing to release"


def _text(chance: random.Random, plan: Plan) -> str:
    """Text a number that its sender has, or had recently, and return the outcome."""
    recent: QuerySet[Participant] = Participant.objects.select_related("real_number", "proxy_number").order_by("-pk")
    if not (found := list(recent[:40])):
        return "nobody to write"
    author = chance.choice(found)
    name = f"{os.getpid()}-{chance.random()}"
    receive(
        InboundText(
            carrier_message_id=name,
            sender=author.real_number.number,
            recipient=author.proxy_number.number,
            text=chance.choice(["hello"] * 6 + ["STOP", "START", "START"]),
        )
    )
    message = InboundMessage.objects.select_related("participant").get(carrier_message_id=name)
    author.refresh_from_db(fields=["released_at"])
    reached = message.participant.conversation_id if message.participant else None
    if author.released_at is None and reached != author.conversation_id:
        return "A TEXT THAT REACHED ANOTHER CONVERSATION"
    return f"text {message.outcome}"


def _long_text(chance: random.Random, plan: Plan) -> str:
    """Text one or two parts of a long message of two to a number that its sender has, or had recently."""
    recent: QuerySet[Participant] = Participant.objects.select_related("real_number", "proxy_number").order_by("-pk")
    if not (found := list(recent[:40])):
        return "nobody to write"
    author = chance.choice(found)
    for part in chance.choice([[1], [2], [1, 2], [2, 1]]):
        take_in(
            InboundText(
                carrier_message_id=f"{os.getpid()}-{chance.random()}",
                sender=author.real_number.number,
                recipient=author.proxy_number.number,
                text=f"{part}-{chance.random()}",
                concat_ref=chance.choice("12"),
                part=part,
                parts=2,
            )
        )
    return "long text"


def _replace(chance: random.Random, plan: Plan) -> str:
    """Replace a number for a few people, then restore it to service; return what happened."""
    number = chance.choice(list(VirtualNumber.objects.filter(state__in=[NumberState.ACTIVE, NumberState.DRAINING])))
    moved = list(islice(replace(number), 3))
    with suppress(StaleState):
        VirtualNumber.objects.get(pk=number.pk).restore(reason="it is well again")
    return "replaced" if any(each.to for each in moved) else "nobody to move"


def _change(chance: random.Random, state: str, verb: Callable[[Conversation], object], name: str) -> str:
    """Change a conversation in this state; return "too late" if another process changed it after our read."""
    recent: QuerySet[Conversation] = Conversation.objects.filter(state=state)[:20]
    if not (found := list(recent)):
        return f"none is {state}"
    try:
        verb(chance.choice(found))
    except StaleState:
        return "too late"
    return name
