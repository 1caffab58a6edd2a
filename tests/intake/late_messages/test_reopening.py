"""The API reopens a conversation that has ended."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from conversations.models import Conversation, Participant
from conversations.worker.periodic_jobs import run_jobs
from tests.support.api_requests import URL
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk
from tests.support.late_messages import HOUR, close_permanently, new_conversation, pass_time, reload, text_from

pytestmark = pytest.mark.django_db


def reopen(api, conversation):
    return api.post(f"{URL}{conversation.public_id}/reopen/")


@pytest.mark.parametrize("late_messages", ["end", "reopen"])
def test_the_api_can_reopen_a_conversation_under_any_late_message_policy(api, late_messages):
    conversation = new_conversation(late_messages=late_messages, ttl=HOUR)
    before = proxies(conversation)
    close_permanently(api, conversation)

    answer = reopen(api, conversation)

    assert (answer.status_code, answer.json()["status"]) == (200, "open")
    assert [each["proxy_number"] for each in answer.json()["participants"]] == before
    assert conversation.events.first().actor == "API key rides-backend"
    assert text_from(0, conversation).outcome == "relayed"


def test_reopening_is_idempotent_and_leaves_an_open_conversation_unchanged(api, time_machine):
    conversation = new_conversation(ttl=10 * HOUR)
    pass_time(time_machine, HOUR)
    assert datetime.fromisoformat(reopen(api, conversation).json()["expires_at"]) == conversation.expires_at
    reload(conversation).close()

    first = reopen(api, conversation)
    pass_time(time_machine, HOUR)
    second = reopen(api, conversation)

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()


@pytest.mark.parametrize("is_swept", [True, False])
def test_an_expired_conversation_is_reopened_with_its_full_ttl(api, time_machine, is_swept):
    conversation = new_conversation(ttl=HOUR, idle_ttl=HOUR)
    pass_time(time_machine, 2 * HOUR)
    if is_swept:
        run_jobs()

    answer = reopen(api, conversation).json()

    end = timezone.now() + timedelta(seconds=HOUR)
    assert [datetime.fromisoformat(answer[name]) for name in ("expires_at", "idle_at")] == [end, end]
    assert answer["status"] == "open"


def test_a_conversation_that_is_closed_concurrently_can_be_reopened(time_machine):
    new_conversation(ttl=HOUR)
    pass_time(time_machine, HOUR)
    stale = Conversation.objects.get()
    run_jobs()

    stale.reopen()

    assert reload(stale).is_live()


def test_a_conversation_that_is_reopened_concurrently_is_not_closed_as_expired(time_machine, monkeypatch):
    """The job has read the conversation as expired, and reaches it after the reopening."""
    conversation = new_conversation(ttl=HOUR)
    pass_time(time_machine, HOUR)
    close = Conversation.close_expired

    def open_first(found):
        Conversation.objects.get(pk=found.pk).reopen()
        close(found)

    monkeypatch.setattr(Conversation, "close_expired", open_first)
    run_jobs()

    assert reload(conversation).is_live()


@pytest.mark.parametrize("gone", [0, 1])
def test_a_conversation_with_a_lost_number_cannot_be_reopened(api, gone):
    conversation = new_conversation(late_messages="reopen").close()
    members(conversation)[gone].proxy_number.mark_lost(reason="cancelled at the carrier")

    answer = reopen(api, conversation)

    assert (answer.status_code, answer.json()["code"]) == (409, "numbers_released")
    assert text_from(1 - gone, conversation).outcome == "ended"
    assert Participant.objects.cooling().count() == 2


def test_a_conversation_whose_numbers_were_released_cannot_be_reopened(api, time_machine, settings):
    conversation = new_conversation()
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()

    for _ in range(2):
        answer = reopen(api, conversation)
        assert answer.status_code == 409
        assert answer.json()["code"] == "numbers_released"
        assert answer["Content-Type"] == "application/problem+json"
    assert reload(conversation).state == "closed"


def test_a_conversation_with_one_released_number_stays_closed_and_the_other_keeps_cooling(api):
    add_numbers(1)
    conversation = talk(ALICE, BOB)
    conversation.close()
    talk(ALICE, CHARLIE, on_exhausted="soft")

    assert reopen(api, conversation).status_code == 409

    bob = members(conversation)[1]
    assert bob.release_at
    assert Participant.objects.cooling().get() == bob


def test_reopening_needs_an_api_key_and_an_existing_conversation(api, client):
    conversation = new_conversation()

    assert api.post(f"{URL}00000000-0000-4000-8000-000000000000/reopen/").status_code == 404
    assert client.post(f"{URL}{conversation.public_id}/reopen/").status_code == 401
