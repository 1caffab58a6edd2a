"""A person joins an open conversation, and the others keep their proxy numbers."""

import uuid

import pytest
from rest_framework.test import APIClient

from conversations.models import Conversation, LimitUsage, OutboundMessage, Participant
from conversations.trust.blocks import block_pair, block_person
from numbers.models import RealNumber, Shortage
from smsproxy.api.models import ApiKey
from smsproxy.carriers.base import LookupResult, LookupVerdict
from smsproxy.services.models import Service
from tests.support.api_requests import URL, counts_are_right, is_refused
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk
from tests.support.explanations import text
from tests.support.opt_outs import messages_to, person
from tests.support.outbox import notices
from tests.support.participants import DORA, Participants, proxy_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair():
    add_numbers(6)
    return talk(ALICE, BOB)


@pytest.fixture
def of_pair(api, pair):
    return Participants(api, pair)


def test_the_answer_shows_the_new_participant_and_where_to_read_them(api, pair, of_pair):
    answer = of_pair.add(DORA, label="Dora")

    assert answer.status_code == 201
    assert answer["Location"].endswith(of_pair.at(2))
    added = answer.json()
    assert {name: added[name] for name in ("position", "label", "side", "one_way", "number", "country")} == {
        "position": 2,
        "label": "Dora",
        "side": None,
        "one_way": False,
        "number": DORA,
        "country": "GB",
    }
    assert api.get(answer["Location"]).json() == added
    assert of_pair.all()[2] == added


def test_the_others_keep_their_numbers_and_everybody_reaches_everybody(client, pair, of_pair):
    before = proxies(pair)

    theirs = proxy_of(of_pair.add(DORA, label="Dora"))

    assert proxies(pair) == [*before, theirs]
    assert text(client, DORA, theirs, "Hi").outcome == "relayed"
    assert messages_to(ALICE) == messages_to(BOB) == ["Dora: Hi"]
    assert text(client, ALICE, before[0], "Welcome").outcome == "relayed"
    assert messages_to(DORA) == ["Alice: Welcome"]
    assert counts_are_right()


def test_the_newcomer_gets_the_confirmation_with_the_names_of_the_others_unless_it_is_not_wanted(of_pair):
    of_pair.add(DORA, notify=True)
    of_pair.add(CHARLIE, notify=False)

    [confirmation] = OutboundMessage.objects.filter(kind="confirmation")
    assert confirmation.recipient == person(DORA)
    assert "Alice and Bob" in confirmation.text


def test_a_newcomer_who_had_enough_confirmations_gets_none_and_an_event_says_so(pair, of_pair, settings):
    settings.CONFIRMATIONS_PER_PERSON_DAY = 1
    talk(DORA, CHARLIE, notify=True)
    before = len(notices())

    of_pair.add(DORA, notify=True)

    assert len(notices()) == before
    assert "participant 2 got no confirmation" in pair.events.first().reason


def test_an_event_says_who_was_added_and_by_which_key(pair, of_pair):
    of_pair.add(DORA)

    event = pair.events.first()
    assert (event.reason, event.actor) == ("participant 2 was added", "API key rides-backend")


def test_a_named_proxy_number_is_given_and_a_taken_one_is_refused(pair, of_pair):
    wanted = proxies(pair)[0]

    added = of_pair.add(DORA, proxy_number=wanted)

    assert proxy_of(added) == wanted
    assert added.json()["chosen_by"] == "named"
    taken = proxies(talk(CHARLIE, "+447700900005"))[0]
    body = is_refused(of_pair.add(CHARLIE, proxy_number=taken), 409, "proxy_number_taken")
    assert body["errors"][0]["pointer"] == "/proxy_number"


def test_the_same_person_twice_is_refused_with_their_position(of_pair):
    assert is_refused(of_pair.add(BOB), 409, "already_participant")["position"] == 1


def test_an_eleventh_participant_is_refused(of_pair):
    for index in range(8):
        assert of_pair.add(f"+44770090001{index}").status_code == 201

    is_refused(of_pair.add(DORA), 409, "too_many_participants")


def test_nobody_joins_a_conversation_that_has_ended(pair, of_pair):
    pair.close()

    is_refused(of_pair.add(DORA), 409, "conversation_ended")

    assert not RealNumber.objects.with_number(DORA).exists()


def test_nobody_joins_a_conversation_whose_time_is_up(of_pair, time_machine):
    Conversation.objects.update(expires_at="2026-01-01T00:00:00Z")

    is_refused(of_pair.add(DORA), 409, "conversation_ended")


@pytest.mark.parametrize(
    ("number", "code"),
    [("+15550001", "not_e164"), ("+449011234567", "destination_not_allowed"), ("+447700900500", "virtual_number")],
)
def test_a_number_that_cannot_be_in_a_conversation_is_refused(of_pair, number, code):
    body = is_refused(of_pair.add(number), 400, code)

    assert body["errors"][0]["pointer"] == "/number"


def test_a_label_with_a_link_is_refused(of_pair):
    body = is_refused(of_pair.add(DORA, label="www.shop.example"), 400, "label_with_link")

    assert body["errors"][0]["pointer"] == "/label"


def test_a_person_who_has_opted_out_is_refused(of_pair):
    RealNumber.objects.get_or_create_many([DORA])[DORA].opt_out(reason="texted STOP")

    is_refused(of_pair.add(DORA), 409, "opted_out")


def test_a_person_whom_staff_blocked_is_refused_alone_or_towards_a_participant(of_pair):
    people = RealNumber.objects.get_or_create_many([DORA, CHARLIE])
    block_person(people[DORA], reason="threats", actor="sam")
    block_pair(person(BOB), people[CHARLIE], reason="threats", actor="sam")

    is_refused(of_pair.add(DORA), 409, "blocked")
    body = is_refused(of_pair.add(CHARLIE), 409, "blocked")
    assert "towards participant 1" in body["detail"]


def test_a_number_that_the_lookup_finds_invalid_is_refused(of_pair, carrier, settings):
    settings.LOOKUP = "identity_insights"
    carrier.lookup = lambda number: LookupResult(verdict=LookupVerdict.INVALID)

    is_refused(of_pair.add(DORA), 400, "number_not_valid")

    assert not RealNumber.objects.with_number(DORA).exists()


def test_new_people_count_towards_the_limit_and_known_ones_do_not(of_pair, settings):
    settings.NEW_PEOPLE_PER_SERVICE_DAY = 1
    LimitUsage.objects.all().delete()
    RealNumber.objects.get_or_create_many([CHARLIE])

    assert of_pair.add(CHARLIE).status_code == 201
    assert of_pair.add(DORA).status_code == 201
    refused = of_pair.add("+447700900005")

    is_refused(refused, 429, "over_limit")
    assert int(refused["Retry-After"]) > 0
    assert not RealNumber.objects.with_number("+447700900005").exists()


def test_without_a_free_number_nobody_is_added_and_the_shortage_is_recorded(api):
    add_numbers(1)
    pair = talk(ALICE, BOB)
    talk(DORA, CHARLIE)

    body = is_refused(Participants(api, pair).add(DORA), 409, "no_number_free")

    assert (body["numbers_eligible"], body["numbers_in_use"]) == (1, 1)
    assert "participant" not in body
    assert Shortage.objects.get().real_number == person(DORA)
    assert len(members(pair)) == 2
    assert counts_are_right()


def test_a_repeated_request_adds_nobody_twice_and_gets_the_first_answer(pair, of_pair):
    first = of_pair.add(DORA, key="add-dora")
    again = of_pair.add(DORA, key="add-dora")

    assert (again.status_code, again.json(), again["Location"]) == (201, first.json(), first["Location"])
    assert again["Idempotency-Replayed"] == "true"
    assert len(members(pair)) == 3
    is_refused(of_pair.add(CHARLIE, key="add-dora"), 422, "idempotency_key_reused")


def test_a_repeat_pays_for_no_lookup(of_pair, carrier, settings):
    settings.LOOKUP, settings.LOOKUP_MAX_AGE_SECONDS = "identity_insights", 0
    of_pair.add(DORA, key="add-dora")
    of_pair.add(DORA, key="add-dora")

    assert carrier.looked_up == [DORA]


def test_a_refused_request_leaves_its_key_free(pair, of_pair):
    is_refused(of_pair.add(BOB, key="add"), 409, "already_participant")

    assert of_pair.add(DORA, key="add").status_code == 201


def test_unknown_fields_and_unknown_conversations_are_refused(api, of_pair):
    assert of_pair.add(DORA, nickname="D").status_code == 400
    nowhere = f"{URL}{uuid.uuid4()}/participants/"
    assert api.post(nowhere, {"number": DORA}).status_code == 404


def test_no_key_sees_or_changes_participants_of_another_service(pair, of_pair, other_service):
    of_other = Participants(other_service, pair)

    answers = [of_other.add(DORA), of_other.remove(0), of_other.change(0, label="X")]
    answers += [other_service.get(of_other.url), other_service.get(of_other.at(0))]

    assert {answer.status_code for answer in answers} == {404}
    assert [each.label for each in members(pair)] == ["Alice", "Bob"]


@pytest.fixture
def other_service(db):
    """Return a client of the API with the key of another service."""
    row, key = ApiKey.objects.issue("of another service")
    ApiKey.objects.filter(pk=row.pk).update(service=Service.objects.create(name="other"))
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client


def test_a_participant_added_to_a_conversation_counts_as_one_live_pair(of_pair):
    of_pair.add(DORA)

    assert Participant.objects.unreleased().filter(real_number=person(DORA)).count() == 1
    assert counts_are_right()
