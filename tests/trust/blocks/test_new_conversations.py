"""A conversation with a blocked person is refused."""

from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.models import Conversation, InboundMessage
from conversations.trust.blocks import find_blocked
from smsproxy.carriers.base import LookupResult, LookupVerdict
from tests.support.blocks import WHO, block_alice, block_her_prefix, block_the_pair
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, proxies, talk

pytestmark = pytest.mark.django_db


def create(api, *numbers, dry_run=False):
    people = [{"number": number, "label": f"Person {place}"} for place, number in enumerate(numbers)]
    return api.post(f"/api/v1/conversations/{'dry-run/' if dry_run else ''}", {"participants": people}, format="json")


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("block", "position", "detail"),
    [
        (block_alice, 1, "Participant 1 (Person 1): is blocked."),
        (block_her_prefix, 0, "Participant 0 (Person 0): is blocked."),  # Bob's number has the same.
        (block_the_pair, 1, "Participant 1 (Person 1): is blocked towards participant 0."),
    ],
)
def test_a_conversation_with_a_blocked_person_is_a_409_that_names_the_participant(
    api, carrier, settings, block, position, detail, dry_run
):
    settings.LOOKUP = "identity_insights"
    carrier.lookup = lambda number: LookupResult(verdict=LookupVerdict.VALID)
    add_numbers(2)
    block()

    answer = create(api, BOB, ALICE, dry_run=dry_run)

    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["detail"]) == (409, "blocked", detail)
    assert [each["pointer"] for each in problem["errors"]] == [f"/participants/{position}/number"]
    assert WHO["reason"] not in answer.content.decode()
    assert ALICE not in problem["detail"]
    assert not Conversation.objects.exists()
    assert carrier.looked_up == [], "no lookup is paid for"


def test_a_blocked_pair_may_talk_to_others_and_an_ended_block_hinders_nobody(api):
    add_numbers(4)
    pair = block_the_pair()
    past = block_alice(until=timezone.now() + timedelta(seconds=1))
    past.end(reason="a mistake", actor="sam")

    assert create(api, ALICE, CHARLIE).status_code == 201
    assert create(api, ALICE, BOB).status_code == 409
    pair.end(reason="they have talked", actor="sam")
    assert create(api, ALICE, BOB).status_code == 201


def test_without_blocks_a_creation_asks_once(api, django_assert_max_num_queries):
    add_numbers(2)
    with django_assert_max_num_queries(1):
        assert find_blocked([ALICE, BOB], service_id=1) is None


def test_a_refused_text_is_counted_by_its_outcome(write):
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]
    block_alice()
    for _ in range(3):
        write(ALICE, to, "Hello?")

    assert InboundMessage.objects.filter(outcome="blocked").count() == 3
