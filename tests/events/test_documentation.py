"""The page about events: its program works as it is written, and its tables are complete."""

import threading
import time

import pytest

from smsproxy.api.models import ApiKey
from smsproxy.events.types import EventType
from smsproxy.services.models import Service
from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.documentation import blocks, doc, first_cells

PAGE = doc("events.md")


class NothingMore(Exception):
    """The program waits for the next event."""


@pytest.mark.django_db(transaction=True)
def test_the_program_follows_the_feed_and_goes_on_where_it_stopped(live_server, tmp_path, monkeypatch, capsys):
    [program] = blocks(PAGE, "python")
    Service.objects.ensure_default()
    _, key = ApiKey.objects.issue("rides-backend")
    monkeypatch.setenv("SMSPROXY_URL", live_server.url)
    monkeypatch.setenv("SMSPROXY_KEY", key)
    monkeypatch.chdir(tmp_path)
    ours, sleep = threading.get_ident(), time.sleep

    def wait(seconds):
        if threading.get_ident() == ours:
            raise NothingMore
        sleep(seconds)

    def run():
        monkeypatch.setattr(time, "sleep", wait)
        with pytest.raises(NothingMore):
            exec(compile(program, str(PAGE), "exec"), {})
        return [line.split()[0] for line in capsys.readouterr().out.splitlines()]

    add_numbers(2)
    conversation = talk(ALICE, BOB)
    assert run() == ["conversation.created"]

    conversation.close()
    assert run() == ["conversation.closed"]


def test_every_type_has_a_row():
    assert sorted(name for name in first_cells(PAGE.read_text()) if "." in name) == sorted(EventType.values)
