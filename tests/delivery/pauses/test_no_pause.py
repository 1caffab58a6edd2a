"""Failures that pause nothing."""

import pytest

from conversations.models import OutboundMessage
from smsproxy.carriers.base import OutcomeUnknown, TemporaryFailure
from tests.support.outbox import later, queue, sent_texts, work

pytestmark = pytest.mark.django_db


def test_a_temporary_failure_of_one_message_delays_no_other(people, carrier):
    carrier.script = [TemporaryFailure("internal error", code="5")]
    for person in people:
        queue(person, "hello")

    work()

    assert OutboundMessage.objects.filter(state="sent").count() == len(people) - 1


def test_under_the_resend_policy_an_expired_unknown_outcome_blocks_nothing(people, carrier, time_machine, settings):
    settings.UNKNOWN_OUTCOME_POLICY = "resend"
    carrier.script = [OutcomeUnknown("read timeout")]
    queue(people[0], "in doubt")
    work()
    later(time_machine, settings.MESSAGE_MAX_AGE_SECONDS + 1)
    queue(people[0], "later")

    work()

    assert sent_texts(carrier) == ["in doubt", "later"]
