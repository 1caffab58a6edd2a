"""A marketplace blocks people of its own by API, and ends these blocks."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from conversations.models import Block
from conversations.trust.blocks import block_person, block_prefix
from numbers.models import RealNumber
from smsproxy.opaque_ids import IdKind, public_id
from tests.support.api_requests import is_refused
from tests.support.blocks import WHO, person
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER
from tests.support.services import BLOCKS, proxies_of, write

pytestmark = pytest.mark.django_db


def test_a_blocked_person_is_stopped_at_once_and_until_the_block_ends(rides):
    to = proxies_of(rides.talk())[0]
    made = rides.block(ALICE)
    assert made.status_code == 201, made.content
    assert write(ALICE, to) == "blocked"
    assert rides.api.get(made["Location"]).json() == made.json()

    ended = rides.api.post(f"{made['Location']}end/", {"reason": "they have talked"})

    assert write(ALICE, to) == "relayed"
    body = ended.json()
    assert (ended.status_code, body["status"], body["ended_reason"]) == (200, "ended", "they have talked")
    assert rides.api.post(f"{made['Location']}end/").json() == body, "a repeat changes nothing"


def test_a_block_is_shown_as_it_was_asked_for(rides):
    until = (timezone.now() + timedelta(days=1)).replace(microsecond=0)

    made = rides.block(ALICE, other_number=BOB, reason="They argue.", until=until.isoformat()).json()

    created_at = made.pop("created_at")
    assert created_at.endswith("Z")
    assert made == {
        "id": Block.objects.get().public_id,
        "status": "active",
        "number": ALICE,
        "other_number": BOB,
        "prefix": "",
        "reason": "They argue.",
        "created_by": "api",
        "until": until.isoformat().replace("+00:00", "Z"),
        "ended_at": None,
        "ended_reason": "",
    }
    assert Block.objects.get().created_by == "API key backend"


def test_a_blocked_pair_may_talk_to_others(rides):
    rides.block(ALICE, other_number=BOB)

    is_refused(rides.try_to_talk(BOB, ALICE), 409, "blocked")
    rides.talk(ALICE, CHARLIE)


def test_a_block_ends_by_itself_at_its_time(rides, time_machine):
    until = timezone.now() + timedelta(hours=1)
    where = rides.block(ALICE, until=until.isoformat())["Location"]

    time_machine.move_to(until + timedelta(seconds=1))

    assert rides.api.get(where).json()["status"] == "ended"
    assert rides.api.get(BLOCKS, {"status": "active"}).json()["results"] == []
    assert len(rides.api.get(BLOCKS, {"status": "ended"}).json()["results"]) == 1
    assert rides.block(ALICE).status_code == 201


def test_a_marketplace_sees_and_ends_no_block_of_another(rides, parcels):
    where = rides.block(ALICE)["Location"]

    assert parcels.api.get(BLOCKS).json()["results"] == []
    is_refused(parcels.api.get(where), 404, "not_found")
    is_refused(parcels.api.post(f"{where}end/"), 404, "not_found")
    assert Block.objects.get().is_active
    assert parcels.block(ALICE).status_code == 201, "each has a block of its own"


def test_a_block_of_every_service_is_not_shown(rides):
    block = block_person(person(ALICE), **WHO)

    assert rides.api.get(BLOCKS).json()["results"] == []
    is_refused(rides.api.get(reverse("block", args=[block.public_id])), 404, "not_found")


def test_a_block_that_staff_made_for_the_service_is_shown_without_its_reason_and_only_they_can_end_it(rides):
    block = block_prefix("+88213", **WHO, service_id=rides.service.pk)

    [shown] = rides.api.get(BLOCKS).json()["results"]
    refused = rides.api.post(f"{BLOCKS}{block.public_id}/end/")

    assert (shown["prefix"], shown["number"], shown["created_by"], shown["reason"]) == ("+88213", None, "staff", "")
    is_refused(refused, 409, "block_of_staff")
    assert Block.objects.get().is_active


def test_the_list_is_in_pages_newest_first(rides):
    made = [rides.block(number).json()["id"] for number in (ALICE, BOB, CHARLIE)]

    first = rides.api.get(BLOCKS, {"page_size": 2}).json()
    second = rides.api.get(first["next"]).json()

    assert [each["id"] for each in first["results"] + second["results"]] == made[::-1]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"number": "07700900001"}, "/number", "not_e164"),
        ({"number": None}, "/number", "null"),
        ({"other_number": ALICE}, "/other_number", "same_person_twice"),
        ({"reason": ""}, "/reason", "blank"),
        ({"reason": "x" * 201}, "/reason", "max_length"),
        ({"reason": "call me on +447700900123"}, "/reason", "reason_not_valid"),
        ({"reason": "two\nlines"}, "/reason", "control_character"),
        ({"until": "2020-01-01T00:00:00Z"}, "/until", "not_in_future"),
        ({"until": "tomorrow"}, "/until", "not_a_time"),
        ({"until": "2030-01-01T00:00:00"}, "/until", "not_a_time"),
        ({"prefix": "+88213"}, "/prefix", "unknown_field"),
    ],
)
def test_a_wrong_request_is_refused_at_its_field_and_blocks_nobody(rides, changes, pointer, code):
    body = is_refused(rides.block(**{"number": ALICE} | changes), 400, code)

    assert [(error["pointer"], error["code"]) for error in body["errors"]] == [(pointer, code)]
    assert not Block.objects.exists()


def test_a_virtual_number_cannot_be_blocked(rides):
    number = proxies_of(rides.talk())[0]

    body = is_refused(rides.block(BOB, other_number=number), 400, "virtual_number")

    assert [error["pointer"] for error in body["errors"]] == ["/other_number"]


def test_a_block_that_exists_is_named(rides):
    first = rides.block(ALICE, other_number=BOB).json()

    problem = is_refused(rides.block(BOB, other_number=ALICE), 409, "already_blocked")

    assert problem["block_id"] == first["id"]
    assert Block.objects.count() == 1


def test_a_block_is_made_once_for_an_idempotency_key(rides):
    asked = {"number": ALICE, "reason": "threats"}
    first = rides.api.post(BLOCKS, asked, headers={"Idempotency-Key": "block-1"})

    again = rides.api.post(BLOCKS, asked, headers={"Idempotency-Key": "block-1"})
    other = rides.api.post(BLOCKS, asked | {"number": BOB}, headers={"Idempotency-Key": "block-1"})

    assert (again.status_code, again.json(), again["Location"]) == (201, first.json(), first["Location"])
    assert again["Idempotency-Replayed"] == "true"
    is_refused(other, 422, "idempotency_key_reused")
    assert Block.objects.count() == 1


def test_the_addresses_of_blocks_hold_no_number_and_guess_no_other_row(rides):
    where = rides.block(ALICE)["Location"]
    block = Block.objects.get()

    assert ALICE[1:] not in where
    for other in (public_id(IdKind.EVENT, block.pk), "00000000-0000-0000-0000-000000000001"):
        is_refused(rides.api.get(f"{BLOCKS}{other}/"), 404, "not_found")


def test_a_person_who_is_new_to_us_can_be_blocked_before_they_ever_write(rides):
    assert not RealNumber.objects.with_number(STRANGER).exists()

    assert rides.block(STRANGER).status_code == 201
    is_refused(rides.try_to_talk(STRANGER, BOB), 409, "blocked")


def test_unknown_parameters_of_the_list_are_refused(rides):
    is_refused(rides.api.get(BLOCKS, {"number": "1"}), 400, "unknown_parameter")
    is_refused(rides.api.get(BLOCKS, {"page_size": "0"}), 400, "min_value")


def test_a_key_that_may_only_read_blocks_nobody(rides):
    rides.api = rides.client("reader", scopes="read")

    is_refused(rides.block(ALICE), 403, "scope_missing")
    assert rides.api.get(BLOCKS).status_code == 200
