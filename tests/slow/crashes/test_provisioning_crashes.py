"""Provisioning that is killed anywhere and resumed completes its order and buys no more than was ordered."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from numbers.models import NumberState, VirtualNumber
from numbers.provisioning.release import release
from tests.support.crash_points import (
    MISHAPS,
    STRIDE,
    assert_exactly_what_was_asked_for,
    plain,
    provision,
    provision_killed_at_each_of,
    steps_to_try,
    world,
)
from tests.support.fake_rental_carrier import Rentals

ROOT = Path(__file__).resolve().parent.parent.parent.parent


@pytest.mark.django_db
@pytest.mark.parametrize("happens", MISHAPS)
def test_an_order_killed_at_any_step_and_resumed_buys_exactly_what_was_ordered(rentals, steps, happens, every_step):
    provision_killed_at_each_of(steps_to_try(happens, every=every_step), rentals, steps, happens)


@pytest.mark.django_db
def test_an_order_killed_twice_at_any_steps_buys_no_more_than_was_ordered(rentals, steps, every_step):
    for first in steps_to_try(plain, every=every_step):
        # A sample of all pairs is enough, and each step is the second of some pair.
        for second in count(first // STRIDE % 4, 4):
            with world(rentals, steps, plain):
                with steps.kill_at(first) as killed:
                    provision()
                with steps.kill_at(second) as killed_again:
                    provision()
                provision()
                assert_exactly_what_was_asked_for(rentals)
            if not killed_again:
                break
        if not killed:
            break


@pytest.mark.django_db
def test_a_release_killed_at_any_step_and_resumed_cancels_the_rental(rentals, steps):
    for step in count():
        with world(rentals, steps, plain):
            provision()
            number = VirtualNumber.objects.active()[0]
            with steps.kill_at(step) as killed:
                release(number)
            if killed:
                release(VirtualNumber.objects.get(pk=number.pk)) if is_ours(number) else None
            assert number.number not in rentals.account
            assert VirtualNumber.objects.get(pk=number.pk).state == NumberState.RETIRED
            assert len(rentals.account) == 1
        if not killed:
            break
    assert step > 4


def is_ours(number):
    return VirtualNumber.objects.rented().filter(pk=number.pk).exists()


# With a real process, and a real kill -9 -----------------------------------------------------------------------------


@pytest.fixture
def manage(tmp_path):
    """Return a function that starts manage.py as a process, with a separate database and the simulator as carrier."""
    with database(tmp_path) as url:
        environment = {**os.environ, "TEST_DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}

        def start(*arguments):
            return subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

        yield start


@contextmanager
def database(tmp_path):
    if connection.vendor != "postgresql":
        yield f"sqlite:///{tmp_path / 'killed.sqlite3'}"
        return
    options = connection.settings_dict
    name = f"smsproxy_killed_{os.getpid()}"
    parts = {"host": options["HOST"], "port": options["PORT"], "user": options["USER"], "password": options["PASSWORD"]}
    parts = {key: str(value) for key, value in parts.items() if value}
    with psycopg.connect(dbname="postgres", autocommit=True, **parts) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            host, port = parts.get("host", ""), parts.get("port", "")
            user = ":".join(filter(None, [parts.get("user"), parts.get("password")]))
            yield f"postgres://{user + '@' if user else ''}{host}{':' + port if port else ''}/{name}"
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def finish(process, timeout=60):
    output, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, output
    return output


def test_an_order_killed_with_kill_9_and_resumed_leaves_exactly_the_count(manage):
    finish(manage("migrate", "-v0"))
    arguments = ["provision_numbers", "--country", "GB", "--count", "12", "--yes"]
    moments = random.Random(time.time())
    kills = 0

    for _ in range(5):
        process = manage(*arguments)
        # Its first output shows that it has started.
        process.stdout.readline()
        time.sleep(moments.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        kills += process.returncode == -signal.SIGKILL
    assert kills
    assert ": 12 of 12 numbers bought; their messages reach us." in finish(manage(*arguments))

    counted = "from smsproxy.simulator.models import SimulatedNumber as S; print('rented:', S.objects.count())"
    assert "rented: 12\n" in finish(manage("shell", "-v0", "-c", counted))
    assert "12 numbers are ours; no difference." in finish(manage("sync_numbers"))


def test_the_carrier_of_these_tests_counts_every_purchase():
    rentals = Rentals()
    rentals.buy("+447700900700", "GB")
    assert rentals.bought == list(rentals.account)
