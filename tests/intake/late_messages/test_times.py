"""The times of a conversation that a late message has reopened."""

from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.worker.periodic_jobs import run_jobs
from tests.support.late_messages import HOUR, new_conversation, pass_time, reload, text_from

pytestmark = pytest.mark.django_db


def test_each_reopening_restarts_the_ttl_and_the_idle_ttl_without_extending_them(time_machine):
    conversation = new_conversation(late_messages="reopen", ttl=10 * HOUR, idle_ttl=2 * HOUR)

    for _ in range(3):
        pass_time(time_machine, HOUR)
        reload(conversation).close()
        pass_time(time_machine, 24 * HOUR)

        assert text_from(0, conversation).outcome == "relayed"

        reload(conversation)
        assert conversation.expires_at == timezone.now() + timedelta(hours=10)
        assert conversation.idle_at == timezone.now() + timedelta(hours=2)


def test_an_expired_conversation_reopened_before_it_is_closed_gets_its_full_ttl(time_machine):
    conversation = new_conversation(late_messages="reopen", ttl=HOUR)
    pass_time(time_machine, 3 * HOUR)

    assert text_from(0, conversation).outcome == "relayed"

    assert reload(conversation).expires_at == timezone.now() + timedelta(seconds=HOUR)
    assert [event.reason for event in conversation.events.all()][:2] == ["a late text", "expired"]
    run_jobs()
    assert reload(conversation).is_live()
    pass_time(time_machine, HOUR)
    run_jobs()
    assert reload(conversation).closed_reason == "expired"


def test_a_reopened_idle_conversation_is_closed_again_if_nobody_writes(time_machine):
    conversation = new_conversation(late_messages="reopen", idle_ttl=HOUR)
    pass_time(time_machine, 3 * HOUR)

    assert text_from(0, conversation).outcome == "relayed"
    assert [event.reason for event in conversation.events.all()][:2] == ["a late text", "idle"]

    pass_time(time_machine, HOUR)
    run_jobs()
    assert reload(conversation).closed_reason == "idle"


def test_a_conversation_without_a_ttl_has_none_after_reopening():
    conversation = new_conversation(late_messages="reopen")
    conversation.close()
    text_from(0, conversation)

    assert reload(conversation).expires_at is conversation.idle_at is None


def test_the_cool_down_restarts_when_a_reopened_conversation_ends(time_machine, settings):
    conversation = new_conversation(late_messages="reopen")
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS - HOUR)
    text_from(0, conversation)
    reload(conversation).close()
    pass_time(time_machine, 2 * HOUR)
    run_jobs()

    assert text_from(0, conversation).outcome == "relayed"
