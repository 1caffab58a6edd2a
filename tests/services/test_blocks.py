"""A block of one marketplace stops nobody in another one. A block by staff may concern all of them."""

import pytest

from conversations.delivery.outbox import queue_notice
from conversations.insight.explain_route import explain_route
from conversations.models import Block, Conversation, InboundMessage, OutboundMessage
from conversations.trust.blocks import block_pair, block_person, block_prefix
from numbers.lookup import look_up
from tests.support.api_requests import asked_for, is_refused
from tests.support.blocks import WHO, block_alice, block_her_prefix, block_the_pair, person
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, members
from tests.support.services import proxies_of, texts_to, write

pytestmark = pytest.mark.django_db

EVERY_KIND = pytest.mark.parametrize("block", [block_alice, block_the_pair, block_her_prefix])


@EVERY_KIND
@pytest.mark.usefixtures("path")
def test_a_block_of_one_marketplace_stops_texts_in_its_conversations_alone(rides, parcels, block):
    ride, parcel = proxies_of(rides.talk())[0], proxies_of(parcels.talk())[0]

    block(service_id=rides.service.pk)

    assert [write(ALICE, ride), write(ALICE, parcel)] == ["blocked", "relayed"]


@EVERY_KIND
@pytest.mark.usefixtures("path")
def test_a_block_of_every_service_stops_texts_everywhere(rides, parcels, block):
    ride, parcel = proxies_of(rides.talk())[0], proxies_of(parcels.talk())[0]

    block()

    assert [write(ALICE, ride), write(ALICE, parcel)] == ["blocked", "blocked"]


@EVERY_KIND
def test_a_block_of_one_marketplace_keeps_new_conversations_from_beginning_there_alone(rides, parcels, block):
    block(service_id=rides.service.pk)

    is_refused(rides.try_to_talk(), 409, "blocked")
    is_refused(rides.api.post("/api/v1/conversations/dry-run/", asked_for()), 409, "blocked")
    assert parcels.api.post("/api/v1/conversations/dry-run/", asked_for()).status_code == 200
    parcels.talk()


def test_a_block_during_a_paid_lookup_counts_in_its_marketplace_alone(rides, parcels, carrier, settings, monkeypatch):
    settings.LOOKUP = "identity_insights"

    def block_and_look_up(numbers):
        block_alice(service_id=rides.service.pk)
        return look_up(numbers)

    monkeypatch.setattr("conversations.lifecycle.check_people.look_up", block_and_look_up)

    is_refused(rides.try_to_talk(), 409, "blocked")
    Block.objects.all().delete()
    parcels.talk()


def test_a_block_of_one_marketplace_keeps_its_conversations_alone_from_being_reopened(rides, parcels):
    talked = [rides.talk(), parcels.talk()]
    for market, each in zip((rides, parcels), talked, strict=True):
        market.api.post(f"/api/v1/conversations/{each['id']}/close/")
    block_alice(service_id=rides.service.pk)

    is_refused(rides.api.post(f"/api/v1/conversations/{talked[0]['id']}/reopen/"), 409, "blocked")
    assert parcels.api.post(f"/api/v1/conversations/{talked[1]['id']}/reopen/").status_code == 200


@pytest.mark.parametrize(
    "block",
    [
        lambda **options: block_person(person(ALICE), **WHO, **options),
        lambda **options: block_pair(person(ALICE), person(BOB), **WHO, **options),
        lambda **options: block_prefix(ALICE[:12], **WHO, **options),
    ],
)
def test_a_block_cancels_what_is_queued_in_its_marketplace_alone(rides, parcels, block):
    ride, parcel = rides.talk(), parcels.talk()
    write(ALICE, proxies_of(ride)[0], "from the ride")
    write(ALICE, proxies_of(parcel)[0], "from the parcel")
    queue_notice(members(Conversation.objects.get(public_id=ride["id"]))[1], "a notice")

    block(service_id=rides.service.pk)

    assert {each.text: each.state for each in OutboundMessage.objects.all()} == {
        "from the ride": "cancelled",
        "from the parcel": "queued",
        "a notice": "queued",
    }


def test_a_text_that_belongs_to_no_conversation_is_stopped_by_a_block_of_any_marketplace(rides, parcels):
    number = proxies_of(parcels.talk(CHARLIE, BOB))[0]
    block_person(person(STRANGER), **WHO, service_id=rides.service.pk)

    assert write(STRANGER, number) == "blocked"
    assert texts_to(STRANGER) == []


def test_an_explanation_of_a_route_knows_which_marketplace_blocked_the_sender(rides, parcels):
    ride, parcel = proxies_of(rides.talk())[0], proxies_of(parcels.talk())[0]
    block_alice(service_id=rides.service.pk)

    assert explain_route(ALICE, ride).outcome == "blocked"
    assert explain_route(ALICE, parcel).outcome == "relayed"


def test_staff_block_a_person_in_one_service_or_in_every_one(rides, parcels, admin_client):
    def block(**fields):
        body = {"number": ALICE, "reason": "threats", "until_0": "", "until_1": "", **fields}
        return admin_client.post("/admin/conversations/block/add/", body)

    assert block(service=rides.service.pk).status_code == 302
    again, everywhere = block(service=rides.service.pk), block()

    assert "active already" in admin_client.get(again.url).content.decode()
    assert everywhere.status_code == 302
    assert list(Block.objects.order_by("pk").values_list("service__name", flat=True)) == ["rides", None]
    address = "/admin/conversations/block/"
    shown = {
        each: admin_client.get(address, {"service": each}).content.decode().count("field-concerns")
        for each in (rides.service.pk, parcels.service.pk, "every")
    }
    assert shown == {rides.service.pk: 1, parcels.service.pk: 0, "every": 1}


def test_a_blocked_text_is_kept_with_the_conversation_of_its_marketplace(rides, parcels):
    ride = proxies_of(rides.talk())[0]
    block_alice(service_id=rides.service.pk)

    write(ALICE, ride, "let me in")

    stored = InboundMessage.objects.get()
    assert stored.participant.conversation.service == rides.service
