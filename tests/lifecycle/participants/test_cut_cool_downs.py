"""A person who joins needs a number that cools down, while another transaction holds that conversation's lock."""

import threading

import pytest
from django.db import connection
from django.test import Client

from conversations.delivery.outbox import queue_notice
from conversations.lifecycle.cut_cool_down import release_early
from conversations.models import OutboundMessage
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk
from tests.support.concurrency import wait_for_a_lock
from tests.support.explanations import text
from tests.support.participants import DORA, Participants

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def ended_and_open(settings):
    """Two conversations of Bob, in both of which a notice to him waits. Charlie could only join with a cut pair."""
    settings.ON_EXHAUSTED, settings.SOFT_COOL_DOWN_SECONDS = "soft", 0
    add_numbers(2)
    ended = talk(CHARLIE, BOB)
    talk(CHARLIE, DORA)
    here = talk(ALICE, BOB)
    ended.close()
    for conversation in (ended, here):
        queue_notice(members(conversation)[1], "hello")
    return ended, here


def test_a_stop_in_both_conversations_and_a_person_who_joins_do_not_wait_for_each_other(
    ended_and_open, api, monkeypatch
):
    _, here = ended_and_open
    [_, to] = proxies(here)
    outcomes = []

    def stop():
        try:
            outcomes.append(text(Client(), BOB, to, "STOP").outcome)
        finally:
            connection.close()

    stopping = threading.Thread(target=stop)

    def release_while_bob_stops(*args, **kwargs):
        if not stopping.ident:
            # The STOP holds the ended conversation and wants this one, which we hold.
            stopping.start()
            wait_for_a_lock()
        return release_early(*args, **kwargs)

    monkeypatch.setattr("conversations.lifecycle.newcomer.release_early", release_while_bob_stops)
    answer = Participants(api, here).add(CHARLIE)
    stopping.join(60)

    assert (answer.status_code, outcomes) == (201, ["keyword"])
    notices = OutboundMessage.objects.filter(kind="notice", recipient=members(here)[1].real_number)
    assert {each.state for each in notices} == {"cancelled"}
