"""Limits of the automatic answers to a person."""

from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.request import ConversationSpec, ParticipantSpec
from conversations.models import InboundMessage, LimitUsage, OutboundMessage
from conversations.trust import limits
from numbers.models import RealNumber
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, talk
from tests.support.outbox import later, notices

pytestmark = pytest.mark.django_db


def test_a_message_that_is_too_long_again_and_again_draws_one_notice_an_hour(text, to, time_machine):
    for _ in range(5):
        assert text(ALICE, to, "x" * 5000) == "too_long"
    assert len(notices()) == 1

    time_machine.move_to(timezone.now() + timedelta(hours=1), tick=False)
    text(ALICE, to, "x" * 5000)

    assert len(notices()) == 2


def test_answers_of_all_kinds_from_a_number_are_limited_together(text, to, settings):
    settings.MESSAGES_PER_PERSON_MINUTE = 1
    conversation = members(talk(CHARLIE, BOB))[0]
    ended = conversation.proxy_number.number

    text(CHARLIE, ended, "x" * 5000)
    text(CHARLIE, ended)
    text(CHARLIE, ended)
    conversation.conversation.close()
    text(CHARLIE, ended)

    outcomes = InboundMessage.objects.order_by("pk").values_list("outcome", flat=True)
    assert list(outcomes) == ["too_long", "relayed", "limited", "ended"]
    assert len(notices()) == 1


def test_each_number_answers_a_person_once_an_hour(text, to):
    elsewhere = proxies(talk(ALICE, CHARLIE))[0]

    for number in (to, elsewhere, to, elsewhere):
        text(ALICE, number, "x" * 5000)

    assert len(notices()) == 2


def test_all_numbers_together_answer_a_person_a_limited_number_of_times_a_day(text, settings):
    settings.NOTICES_PER_PERSON_DAY = 3

    for number in add_numbers(6):
        text(STRANGER, number.number)

    assert len(notices()) == 3


def test_an_answer_that_is_empty_in_the_settings_uses_no_limit(text, to, settings):
    settings.NO_ROUTE_NOTICE = ""

    text(STRANGER, to)

    assert not LimitUsage.objects.exists()


def test_answers_to_keywords_are_limited_by_the_hour_and_by_the_day(settings, time_machine):
    settings.KEYWORD_ANSWERS_PER_PERSON_HOUR, settings.KEYWORD_ANSWERS_PER_PERSON_DAY = 2, 3
    time_machine.move_to(timezone.now(), tick=False)
    alice = RealNumber.objects.get_or_create_many([ALICE])[ALICE]

    assert [limits.may_answer_help(alice) for _ in range(3)] == [True, True, False]
    later(time_machine, 3600)
    assert [limits.may_answer_help(alice) for _ in range(2)] == [True, False]


def test_a_person_gets_a_limited_number_of_confirmations_a_day_and_still_has_their_conversations(settings):
    settings.CONFIRMATIONS_PER_PERSON_DAY = 1
    add_numbers(6)

    made = [
        create_conversation([ParticipantSpec(number=ALICE), ParticipantSpec(number=other)], ConversationSpec())
        for other in (BOB, CHARLIE)
    ]

    recipients = [message.recipient.number for message in OutboundMessage.objects.order_by("pk")]
    assert recipients == [ALICE, BOB, CHARLIE]
    reasons = [event.reason for event in made[1].events.order_by("pk")]
    assert reasons == ["created", "participant 0 got no confirmation: CONFIRMATIONS_PER_PERSON_DAY"]
