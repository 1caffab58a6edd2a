"""A service learns nothing of another's conversations from an explained route."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from conversations.delivery.opt_out import opt_out
from conversations.trust.blocks import block_person
from conversations.worker.periodic_jobs import release_cooled_down
from numbers.models import RealNumber
from tests.support.builders import ALICE, STRANGER, proxies
from tests.support.endpoints import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db):
    return World()


def explained(world, service, to, sender=ALICE):
    answer = world.client(service).get(reverse("explain-route"), {"to": to}, headers={"From-Number": sender})
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_pair_of_another_service_is_explained_as_one_without_a_conversation(world):
    to = proxies(world.conversation)[0]

    told = explained(world, world.other, to)

    assert told["outcome"] == "no_route"
    assert told["why"] == "The sender is unknown: they are in no conversation."
    assert (told["sender_is_known"], told["conversation"], told["author"]) == (False, None, None)
    assert (told["recipients"], told["ways"], told["last"], told["cools_down_until"]) == ([], [], None, None)
    assert explained(world, world.service, to)["conversation"]["id"] == str(world.conversation.public_id)


def test_the_answer_does_not_tell_whether_another_service_knows_blocked_or_lost_the_sender(world):
    to = proxies(world.conversation)[0]
    nobody = explained(world, world.other, to, STRANGER)
    alice = RealNumber.objects.with_number(ALICE).get()

    assert explained(world, world.other, to) == nobody
    block_person(alice, reason="threats", actor="another service", service_id=world.service.pk)
    assert explained(world, world.other, to) == nobody
    opt_out(alice, reason="texted STOP")
    assert explained(world, world.other, to) == nobody
    assert explained(world, world.service, to)["outcome"] == "opted_out"


def test_a_former_route_of_another_service_is_not_shown(world, time_machine):
    to = proxies(world.closed)[0]
    time_machine.move_to(timezone.now() + timedelta(days=8))
    release_cooled_down()

    assert explained(world, world.other, to)["last"] is None
    assert explained(world, world.service, to)["last"]["conversation"]["id"] == str(world.closed.public_id)


def test_ways_lead_only_to_conversations_of_the_service(world):
    known = proxies(world.conversation)[0]
    other_way = next(number for number in world.numbers if number != known)

    assert explained(world, world.other, other_way)["ways"] == []
    ways = explained(world, world.service, other_way)["ways"]
    assert [each["conversation_id"] for each in ways] == [str(world.conversation.public_id)]
