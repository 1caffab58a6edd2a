"""The list of conversations: filters that are combined, and strict."""

import re
from datetime import timedelta
from urllib.parse import parse_qs, quote, urlsplit
from uuid import UUID

import pytest
from django.utils import timezone

from conversations.models import Participant
from numbers.models import Pool
from smsproxy.opaque_ids import IdKind, row_id
from tests.support.api_requests import URL, is_refused, of_pool
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk
from tests.support.late_messages import HOUR, pass_time

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_still")]


@pytest.fixture(autouse=True)
def _numbers():
    add_numbers(6)


def found(api, person=None, **query):
    headers = {"Participant-Number": person} if person else {}
    answer = api.get(URL, query, headers=headers)
    assert answer.status_code == 200, answer.content
    return [each["reference"] for each in answer.json()["results"]]


def at(moment):
    return moment.isoformat().replace("+00:00", "Z")


def test_conversations_of_a_time_range_are_found_by_creation(api, time_machine):
    for reference in "abc":
        talk(ALICE, BOB, reference=reference)
        pass_time(time_machine, HOUR)
    second, third = timezone.now() - timedelta(hours=2), timezone.now() - timedelta(hours=1)

    assert found(api, created_after=at(second)) == ["c", "b"]
    assert found(api, created_before=at(third)) == ["b", "a"]
    # The range begins at its first moment and ends before its last: ranges that follow each other share nothing.
    assert found(api, created_after=at(second), created_before=at(third)) == ["b"]


def test_conversations_of_a_time_range_are_found_by_closing(api, time_machine):
    for reference in "abc":
        talk(ALICE, BOB, reference=reference).close()
        pass_time(time_machine, HOUR)
    talk(ALICE, BOB, reference="open")
    second, third = timezone.now() - timedelta(hours=2), timezone.now() - timedelta(hours=1)

    assert found(api, closed_after=at(second), closed_before=at(third)) == ["b"]
    assert found(api, closed_after=at(third)) == ["c"]


def test_conversations_of_a_pool_are_found(api):
    of_pool("berlin", 2, start="+4477008005")
    talk(ALICE, BOB, reference="common")
    talk(ALICE, BOB, reference="berlin", pool=Pool.objects.get(name="berlin"))

    assert found(api, pool="berlin") == ["berlin"]


def test_conversations_are_found_by_a_virtual_number_that_a_participant_has(api):
    first = talk(ALICE, BOB, reference="first")
    talk(ALICE, BOB, reference="second")

    [number, _] = proxies(first)

    of_number = {each.conversation.reference for each in Participant.objects.filter(proxy_number__number=number)}
    assert set(found(api, proxy_number=number)) == of_number
    assert found(api, proxy_number="+447700900777") == []


def test_a_person_is_found_by_the_header_in_either_spelling_of_their_number(api):
    talk(ALICE, BOB, reference="with Bob")
    talk(ALICE, CHARLIE, reference="with Charlie")
    talk(BOB, "+2250712345678", reference="Ivory Coast", geography="any")

    assert found(api, ALICE) == ["with Charlie", "with Bob"]
    assert found(api, CHARLIE) == ["with Charlie"]
    assert found(api, "+447700900099") == []


def test_a_person_who_was_removed_is_no_longer_found(api):
    conversation = talk(ALICE, BOB, CHARLIE)
    Participant.objects.filter(pk=members(conversation)[2].pk).update(removed_at=timezone.now())

    assert (len(found(api, CHARLIE)), len(found(api, BOB))) == (0, 1)


def test_filters_are_combined(api):
    for reference, people in [("a", (ALICE, BOB)), ("b", (ALICE, BOB)), ("a", (ALICE, CHARLIE))]:
        talk(*people, reference=reference)
    talk(ALICE, BOB, reference="a").close()

    answer = api.get(URL, {"reference": "a", "status": "open"}, headers={"Participant-Number": BOB}).json()

    [conversation] = answer["results"]
    assert {each["number"] for each in conversation["participants"]} == {ALICE, BOB}


def test_a_page_keeps_its_filters(api):
    for _ in range(3):
        talk(ALICE, BOB, reference="a")
        talk(ALICE, CHARLIE, reference="b")

    page = api.get(URL, {"reference": "a", "page_size": 2}).json()
    rest = api.get(page["next"]).json()

    assert [each["reference"] for each in page["results"] + rest["results"]] == ["a"] * 3


def test_only_the_conversations_of_the_service_are_listed(api, other_service):
    talk(ALICE, BOB, reference="ours")

    assert found(api) == ["ours"]
    assert found(other_service) == found(other_service, ALICE) == []


@pytest.mark.parametrize(
    ("query", "parameter", "code"),
    [
        ("city=berlin", "city", "unknown_parameter"),
        ("participant_number=%2B447700900099", "participant_number", "unknown_parameter"),
        ("status=perhaps", "status", "invalid_choice"),
        ("status=", "status", "invalid_choice"),
        ("reference=", "reference", "blank"),
        ("pool=nowhere", "pool", "no_pool"),
        ("pool=%00", "pool", "no_pool"),
        ("created_after=yesterday", "created_after", "not_a_time"),
        ("created_after=2026-01-01T00:00:00", "created_after", "not_a_time"),
        ("closed_before=2026-02-30T00:00:00Z", "closed_before", "not_a_time"),
        ("proxy_number=447700900099", "proxy_number", "not_e164"),
        ("proxy_number=+447700900099", "proxy_number", "not_e164"),
        ("page_size=0", "page_size", "min_value"),
        ("page_size=201", "page_size", "max_value"),
        ("page_size=ten", "page_size", "not_an_integer"),
        ("status=open&status=closed", "status", "repeated"),
    ],
)
def test_a_wrong_query_is_rejected_and_names_the_parameter(api, query, parameter, code):
    problem = is_refused(api.get(f"{URL}?{query}"), 400, code)

    assert [re.sub("^/", "", each.get("parameter") or each["pointer"]) for each in problem["errors"]] == [parameter]
    assert "447700900099" not in str(problem)


def test_a_broken_cursor_is_rejected(api):
    is_refused(api.get(URL, {"cursor": "zzz"}), 400, "cursor_invalid")


def cursor_of(address):
    return parse_qs(urlsplit(address).query)["cursor"][0]


def test_a_cursor_does_not_tell_how_many_conversations_other_services_have(api):
    for reference in "abc":
        talk(ALICE, BOB, reference=reference)

    cursor = cursor_of(api.get(URL, {"page_size": 2}).json()["next"])

    assert str(UUID(cursor)) == cursor
    assert row_id(IdKind.PAGE, cursor) is not None


def test_a_cursor_of_another_list_is_rejected(api):
    for number in (ALICE, BOB):
        assert api.post("/api/v1/blocks/", {"number": number, "reason": "threats"}).status_code == 201
    cursor = cursor_of(api.get("/api/v1/blocks/", {"page_size": 1}).json()["next"])

    is_refused(api.get(URL, {"cursor": cursor}), 400, "cursor_invalid")
    is_refused(api.get("/api/v1/blocks/", {"cursor": cursor.upper()}), 400, "cursor_invalid")


def test_a_page_that_has_become_empty_leads_back_to_the_list(api):
    made = [talk(ALICE, BOB, reference=reference) for reference in "abc"]
    first = api.get(URL, {"status": "open", "page_size": 2}).json()
    second = api.get(first["next"]).json()
    for conversation in made[1:]:
        conversation.close()

    empty = api.get(second["previous"]).json()

    assert empty["results"] == []
    assert [each["reference"] for each in api.get(empty["next"]).json()["results"]] == ["a"]


@pytest.mark.parametrize("number", ["", "07700900001", "+44 7700", "+447700900099\t", "Alice"])
def test_a_wrong_number_in_the_header_is_rejected_and_not_repeated(api, number):
    problem = is_refused(api.get(URL, headers={"Participant-Number": number}), 400, "not_e164")

    assert [each["header"] for each in problem["errors"]] == ["Participant-Number"]
    assert not number.strip() or number.strip() not in str(problem)


def test_the_answer_to_a_person_is_not_stored_on_the_way(api):
    assert api.get(URL, headers={"Participant-Number": ALICE})["Cache-Control"] == "no-store"


def test_a_number_encoded_in_the_address_is_read(api):
    conversation = talk(ALICE, BOB)

    answer = api.get(f"{URL}?proxy_number={quote(proxies(conversation)[0])}")

    assert len(answer.json()["results"]) == 1
