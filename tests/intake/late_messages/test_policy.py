"""A late message is answered with a notice, or reopens its conversation, by the policy of the conversation."""

from datetime import datetime

import pytest
from django.utils import timezone

from conversations.intake import fast_path, receive
from conversations.models import Conversation, InboundMessage, OutboundMessage
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import Pool, VirtualNumber
from smsproxy.carriers.base import InboundText
from tests.support.api_requests import URL
from tests.support.builders import ALICE, BOB, add_numbers, members, proxies, talk
from tests.support.late_messages import HOUR, new_conversation, pass_time, relayed_to, reload, text, text_from

pytestmark = pytest.mark.django_db

# Answered with a notice -----------------------------------------------------------------------------------------------


def test_a_late_message_reaches_nobody_and_its_sender_learns_that_the_conversation_ended(settings):
    conversation = new_conversation()
    conversation.close()

    late = text_from(0, conversation)

    assert late.outcome == "ended"
    assert late.participant == members(conversation)[0]
    [answer] = OutboundMessage.objects.all()
    assert (answer.recipient.number, answer.text) == (ALICE, settings.ENDED_NOTICE)
    assert answer.sender.number == proxies(conversation)[0]
    assert reload(conversation).state == "closed"


@pytest.mark.parametrize("option", ["ttl", "idle_ttl"])
def test_a_message_is_late_even_before_the_expired_conversation_is_closed(time_machine, option):
    options: dict = {option: HOUR}
    conversation = new_conversation(**options)
    pass_time(time_machine, HOUR)

    assert text_from(0, conversation).outcome == "ended"


@pytest.mark.parametrize("policy", ["end", "reopen"])
def test_a_message_is_in_time_if_the_time_was_not_up_when_it_was_read(time_machine, monkeypatch, policy):
    """One moment decides for the gates, the write and the idle time."""
    conversation = new_conversation(ttl=HOUR, late_messages=policy)
    monkeypatch.setattr(fast_path, "is_available", lambda: False)
    record = InboundMessage.objects.record

    def expire_and_record(message):
        pass_time(time_machine, HOUR)
        return record(message)

    monkeypatch.setattr(InboundMessage.objects, "record", expire_and_record)

    assert text_from(0, conversation).outcome == "relayed"

    assert not reload(conversation).is_live()
    assert OutboundMessage.objects.get().kind == "relay"


# Reopened by a late message -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "asked", "outcome"),
    [
        ("end", None, "ended"),
        ("reopen", None, "relayed"),
        ("end", "reopen", "relayed"),
        ("reopen", "end", "ended"),
    ],
)
def test_the_request_overrides_the_late_message_policy_of_the_settings(api, settings, setting, asked, outcome):
    settings.LATE_MESSAGE_POLICY = setting
    add_numbers(2)
    body = {"participants": [{"number": ALICE}, {"number": BOB}], "notify": False, "late_messages": asked}
    answer = api.post(URL, body).json()
    settings.LATE_MESSAGE_POLICY = "end"  # The value at creation counts.
    conversation = Conversation.objects.get()
    conversation.close()

    assert text_from(0, conversation).outcome == outcome
    assert answer["late_messages"] == (asked or setting)


def test_a_late_message_and_its_reply_reach_the_other_participant(api):
    conversation = new_conversation(late_messages="reopen")
    conversation.close()

    assert text_from(0, conversation).outcome == text_from(1, conversation).outcome == "relayed"

    assert relayed_to() == [BOB, ALICE]
    shown = api.get(f"{URL}{conversation.public_id}/").json()
    assert (shown["status"], shown["closed_at"], shown["closed_reason"]) == ("open", None, "")
    assert datetime.fromisoformat(shown["reopened_at"]) == timezone.now()
    assert [event.reason for event in conversation.events.all()][:2] == ["a late text", "closed"]
    assert {participant.release_at for participant in members(conversation)} == {None}


def test_late_messages_reopen_a_conversation_for_the_whole_cool_down_of_its_pool(time_machine):
    pool = Pool.objects.create(name="berlin", cool_down=3 * 24 * HOUR)
    add_numbers(2)
    VirtualNumber.objects.update(pool=pool)
    conversation = talk(ALICE, BOB, pool=pool, late_messages="reopen")

    conversation.close()
    pass_time(time_machine, 3 * 24 * HOUR - 1)
    run_jobs()
    assert text_from(0, conversation).outcome == "relayed"

    reload(conversation).close()
    pass_time(time_machine, 3 * 24 * HOUR + 1)
    run_jobs()
    assert text_from(0, conversation).outcome == "no_route"


def test_a_late_message_that_is_not_relayed_does_not_reopen_its_conversation(settings):
    settings.MAX_SEGMENTS = 1
    conversation = new_conversation(late_messages="reopen")
    conversation.close()
    to = proxies(conversation)[0]

    for words in ("", "x" * 200):
        text(ALICE, to, words)

    assert {message.outcome for message in InboundMessage.objects.all()} == {"empty", "too_long"}
    assert reload(conversation).state == "closed"


def test_a_repeated_webhook_reopens_a_conversation_once():
    conversation = new_conversation(late_messages="reopen")
    conversation.close()
    late = InboundText(carrier_message_id="late", sender=ALICE, recipient=proxies(conversation)[0], text="hello?")

    receive.receive(late)
    reload(conversation).close()
    receive.receive(late)

    assert reload(conversation).state == "closed"
    assert relayed_to() == [BOB]
