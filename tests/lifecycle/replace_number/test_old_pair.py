"""The replaced pair of a participant and a number cools down, and is not shown any more."""

from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.api.answers import ConversationSerializer
from conversations.lifecycle.replace_number import replace
from conversations.models import Conversation, InboundMessage, InboundOutcome, Participant
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import NumberState, Pool, VirtualNumber
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.outbox import later
from tests.support.replacements import number_of, text
from tests.support.terminal import states

pytestmark = pytest.mark.django_db


def test_the_replaced_pair_is_not_reassigned_during_its_cool_down(talking, time_machine, settings):
    old = number_of(talking)
    list(replace(old))
    old.refresh_from_db()
    assert old.live_pair_count == 1
    old.restore(reason="test")

    assert old.number not in {proxies(talk(ALICE, f"+4477007000{index:02}"))[0] for index in range(2)}
    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()

    # The conversation is still open, but the old number no longer routes to it.
    assert not old.participants.unreleased().filter(conversation=talking).exists()
    text(ALICE, old.number)
    assert InboundMessage.objects.get().outcome == InboundOutcome.NO_ROUTE
    assert talking.is_live()


def test_the_replaced_pair_cools_down_as_long_as_a_conversation_that_ends_during_it(talking, time_machine, settings):
    """A late message to the old number is answered as long as one to the new number."""
    old = number_of(talking)
    list(replace(old))
    later(time_machine, settings.COOL_DOWN_SECONDS - 60)
    Conversation.objects.get(pk=talking.pk).close()
    later(time_machine, settings.COOL_DOWN_SECONDS - 60)
    run_jobs()

    text(ALICE, old.number)

    assert InboundMessage.objects.get().outcome == InboundOutcome.ENDED


def test_a_replaced_number_is_retired_after_the_cool_down_of_its_pairs(talking, time_machine, settings):
    old = number_of(talking)
    list(replace(old))
    run_jobs()
    assert states()[old.number] == NumberState.DRAINING

    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()

    assert states()[old.number] == NumberState.RETIRED


def test_the_pool_sets_the_cool_down_of_a_replaced_pair(time_machine):
    time_machine.move_to("2026-11-22T12:00:00Z", tick=False)
    add_numbers(4)
    berlin = Pool.objects.create(name="berlin", cool_down=14 * 24 * 3600)
    VirtualNumber.objects.update(pool=berlin)

    list(replace(number_of(talk(ALICE, BOB, pool=berlin))))

    replaced = Participant.objects.get(replaced_by__isnull=False)
    assert replaced.release_at == timezone.now() + timedelta(days=14)


def test_a_conversation_can_be_closed_and_reopened_after_a_replacement(talking):
    old = number_of(talking)
    list(replace(old))
    talking.refresh_from_db()
    talking.close()
    assert not Participant.objects.filter(release_at=None).exists()

    talking.reopen()

    assert set(Participant.objects.current().values_list("release_at", flat=True)) == {None}
    assert Participant.objects.get(replaced_by__isnull=False).release_at is not None


def test_the_api_shows_each_participant_once_with_their_current_number(talking):
    list(replace(number_of(talking)))

    shown = ConversationSerializer(type(talking).objects.with_participants().get()).data
    assert [each["proxy_number"] for each in shown["participants"]] == proxies(talking)
