"""Round-robin between virtual numbers and between the lines of each, and claims with an unknown outcome."""

import pytest
from django.db import OperationalError, connection

from conversations.delivery.claim import ClaimOutcomeUnknown, claim
from conversations.delivery.relay import Relay
from conversations.models import OutboundMessage
from conversations.models.outbound import MAX_RESENDS
from conversations.worker.periodic_jobs import settle_unknown
from smsproxy.carriers.base import OutcomeUnknown
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, talk
from tests.support.outbox import history, later, queue, state_of, work


@pytest.fixture
def two_lines(db):
    """Return two people with the same proxy number."""
    add_numbers(2)
    everyone = [person for other in (BOB, CHARLIE) for person in members(talk(ALICE, other))]
    one = everyone[1]
    return one, next(each for each in everyone[2:] if each.proxy_number == one.proxy_number)


@pytest.mark.django_db
class TestLines:
    def test_a_busy_line_does_not_starve_the_other_lines_of_its_number(self, two_lines, carrier):
        busy, other = two_lines
        queue(busy, *["again"] * 50)
        queue(other, "at last")

        claims = [claim(1).messages[0].message.recipient_id for _ in range(2)]

        assert set(claims) == {busy.real_number_id, other.real_number_id}

    def test_the_lines_of_a_number_keep_taking_turns(self, two_lines, carrier):
        busy, other = two_lines
        queue(busy, *"abcd")
        queue(other, *"vwxy")

        work()

        assert sorted(["".join(sorted(text.text for text in carrier.sent[at : at + 2])) for at in (0, 2, 4, 6)]) == [
            "av",
            "bw",
            "cx",
            "dy",
        ]

    def test_a_line_that_waits_for_an_outcome_blocks_no_other(self, two_lines, carrier):
        silent, other = two_lines
        carrier.script = [OutcomeUnknown("no answer")]
        queue(silent, "in doubt")
        work()
        queue(silent, *["behind it"] * 30)
        queue(other, "goes on")

        work()

        assert [text.text for text in carrier.sent] == ["in doubt", "goes on"]


@pytest.mark.django_db
def test_a_message_that_is_never_answered_is_resent_a_few_times_and_then_left_to_staff(
    bob, carrier, settings, time_machine
):
    settings.UNKNOWN_OUTCOME_POLICY = "resend"
    carrier.script = [OutcomeUnknown("no answer")] * 100
    [message] = queue(bob, "hello")

    for _ in range(MAX_RESENDS + 3):
        work()
        later(time_machine, settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS + 1)
        settle_unknown()
    carrier.script = []
    [later_one] = queue(bob, "the next of the line")
    work()

    assert state_of(message) == "unknown"
    assert [text.text for text in carrier.sent] == ["hello"] * (1 + MAX_RESENDS) + ["the next of the line"]
    assert state_of(later_one) == "sent"
    message.resend(reason="it matters", actor="sam")
    work()
    assert state_of(message) == "sent"


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_a_claim_with_an_unknown_outcome_is_requeued_and_sent_once(bob, carrier, monkeypatch):
    [message] = queue(bob, "hello")
    worker = Relay()
    commit = connection.commit

    def commit_and_lose_the_answer():
        commit()
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "commit", commit_and_lose_the_answer)
        with pytest.raises(ClaimOutcomeUnknown):
            worker._claim(5)
    assert state_of(message) == "sending"
    worker._hand_back()
    worker.send_due()

    assert [text.text for text in carrier.sent] == ["hello"]
    assert history(message) == ["queued", "sending", "queued", "sending", "sent"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_a_claim_that_was_not_committed_takes_nothing(bob, carrier, monkeypatch):
    [message] = queue(bob, "hello")
    worker = Relay()

    def fail():
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "commit", fail)
        with pytest.raises(ClaimOutcomeUnknown):
            worker._claim(5)
    worker._hand_back()

    assert state_of(message) == "queued"
    assert OutboundMessage.objects.get().attempts == 0
