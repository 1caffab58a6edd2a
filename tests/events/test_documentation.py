"""The page about events: its program works as it is written, and its tables are complete."""

import re
import threading
import time

import pytest

from conversations.api.event_types import DATA, FAILURE_CLASSES, RECEIVED_OUTCOMES, UNMATCHED_OUTCOMES
from conversations.api.message_answers import MESSAGE_KINDS
from conversations.models.conversation_feed import CHANGED_OF_PARTICIPANTS, CHANGED_TERMS
from smsproxy.api.models import ApiKey
from smsproxy.services.models import Service
from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.documentation import INLINE, blocks, doc

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


def test_the_tables_say_what_each_type_means_and_what_its_data_has():
    rows = re.findall(r"^\| `(\w+\.\w+)` \| (.+?) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)

    documented = {name: (meaning, INLINE.findall(data)) for name, meaning, data in rows}

    assert documented == {
        type_.value: (type_.label, list(data().fields) if data else []) for type_, data in DATA.items()
    }


@pytest.mark.parametrize(
    ("beginning", "choices"),
    [
        ("- `outcome`: ", RECEIVED_OUTCOMES),
        ("- `kind`: ", MESSAGE_KINDS),
        ("- `error`: ", ["class", *FAILURE_CLASSES, "code"]),
        ("- `changed` of `conversation.changed`: ", CHANGED_TERMS),
        ("- `changed` of `participant.changed`: ", CHANGED_OF_PARTICIPANTS),
        ("cool-down. .*`outcome` is ", UNMATCHED_OUTCOMES),
    ],
)
def test_the_page_lists_the_values_of_a_field(beginning, choices):
    [told] = re.findall(
        rf"^{beginning}(.*?)\.(?: `virtual|\n(?:- |\n)| A long)", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )

    assert INLINE.findall(told) == list(choices)
