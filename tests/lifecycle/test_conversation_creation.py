"""Creation of conversations: POST /api/v1/conversations/."""

import json
import threading

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.request import ParticipantSpec
from conversations.models import Conversation, OutboundMessage, Participant
from numbers.assignment.choose import Assignment, Preference
from numbers.lookup import look_up
from numbers.models import NumberState, RealNumber, VirtualNumber
from smsproxy.carriers.base import LookupResult, LookupVerdict, TemporaryFailure
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, proxies, talk

URL = "/api/v1/conversations/"


def request(**changes):
    return {
        "participants": [{"number": ALICE, "label": "Rider"}, {"number": BOB, "label": "Driver"}],
        "reference": "order-42",
        "ttl": 86400,
        "notify": True,
        **changes,
    }


def post(api, body):
    """Post the body as plain ASCII JSON, so that it can contain any Python string."""
    return api.post(URL, json.dumps(body), content_type="application/json")


def people(*numbers):
    return [{"number": number} for number in numbers]


def nothing_exists():
    return not (Conversation.objects.exists() or Participant.objects.exists() or OutboundMessage.objects.exists())


def test_each_participant_gets_a_proxy_number_of_their_own(api):
    add_numbers(2)

    response = api.post(URL, request())

    assert response.status_code == 201
    body = response.json()
    assert body["status"] == "open"
    assert body["reference"] == "order-42"
    rider, driver = body["participants"]
    assert (rider["label"], rider["number"], rider["country"]) == ("Rider", ALICE, "GB")
    assert (driver["label"], driver["number"], driver["country"]) == ("Driver", BOB, "GB")
    assert rider["proxy_number"] in VirtualNumber.objects.values_list("number", flat=True)
    assert driver["proxy_number"] in VirtualNumber.objects.values_list("number", flat=True)
    assert response["Location"].endswith(f"{URL}{body['id']}/")
    created, expires = body["created_at"], body["expires_at"]
    assert created < expires
    assert body["closed_at"] is None
    assert api.get(response["Location"]).json() == body


def test_each_participant_gets_a_confirmation_from_their_own_proxy_number(api):
    add_numbers(2)

    body = api.post(URL, request()).json()

    texts = {message.recipient.number: message for message in OutboundMessage.objects.all()}
    assert texts[ALICE].text == "Reply to this SMS to talk to Driver"
    assert texts[BOB].text == "Reply to this SMS to talk to Rider"
    assert texts[ALICE].sender.number == body["participants"][0]["proxy_number"]
    assert texts[BOB].sender.number == body["participants"][1]["proxy_number"]


def test_notify_false_sends_no_confirmation(api):
    add_numbers(2)

    assert api.post(URL, request(notify=False)).status_code == 201

    assert not OutboundMessage.objects.exists()


def test_two_phone_numbers_are_all_that_a_request_needs(api):
    add_numbers(2)

    response = api.post(URL, {"participants": people(ALICE, BOB)})

    assert response.status_code == 201
    assert response.json()["expires_at"] is None
    text = OutboundMessage.objects.first().text
    assert text == "Reply to this SMS to talk to the other person"


def test_ten_people_can_talk_and_eleven_cannot(api):
    add_numbers(10)
    numbers = [f"+4477009000{index:02}" for index in range(11)]

    assert api.post(URL, {"participants": people(*numbers[:10])}).status_code == 201
    assert api.post(URL, {"participants": people(*numbers)}).status_code == 400


def test_a_number_is_accepted_with_spaces_and_dashes(api):
    add_numbers(2)

    body = api.post(URL, {"participants": people("+44 7700 900-001", BOB)}).json()

    assert body["participants"][0]["number"] == ALICE


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("07700900001", "not_e164"),
        ("+44", "not_e164"),
        ("+999123456789", "not_e164"),
        ("+4477009000011111111", "not_e164"),
        ("+447700900001 ext. 5", "not_e164"),
        ("hello", "not_e164"),
        ("", "blank"),
        (447700900001, "not_a_string"),
        (None, "null"),
        (True, "not_a_string"),
        (["+447700900001"], "not_a_string"),
        ("+44770\x00900001", "not_e164"),
        ("\ud800", "not_e164"),
        ("+" + "4" * 5000, "not_e164"),
    ],
)
def test_an_invalid_number_is_a_400_that_points_at_its_participant_and_creates_nothing(api, number, code):
    add_numbers(2)

    response = post(api, {"participants": [{"number": ALICE}, {"number": number}]})

    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    error = response.json()["errors"][0]
    assert error["pointer"] == "/participants/1/number"
    assert error["code"] == code
    assert nothing_exists()
    assert not RealNumber.objects.exists()


def test_a_number_given_twice_is_a_400_that_points_at_the_second_participant(api):
    add_numbers(3)

    response = api.post(URL, {"participants": [{"number": ALICE, "label": "Rider"}, {"number": "+44 7700 900001"}]})

    assert response.status_code == 400
    assert response.json()["errors"][0]["code"] == "same_number_twice"
    assert response.json()["errors"][0]["pointer"] == "/participants/1/number"
    assert nothing_exists()


def test_one_of_our_virtual_numbers_cannot_be_a_participant(api):
    virtual = add_numbers(3)[0]

    response = api.post(URL, {"participants": people(ALICE, virtual.number)})

    assert response.status_code == 400
    assert response.json()["errors"][0]["code"] == "virtual_number"
    assert nothing_exists()


def test_a_shortage_is_a_409_that_points_at_its_participant_and_creates_nothing(api):
    add_numbers(1)
    talk(ALICE, BOB)
    before = OutboundMessage.objects.count(), Participant.objects.count()

    response = api.post(URL, request(participants=[{"number": CHARLIE}, {"number": ALICE, "label": "Rider"}]))

    assert response.status_code == 409
    body = response.json()
    assert body["code"] == "no_number_free"
    assert body["detail"].startswith("Participant 1 (Rider)")
    assert body["errors"][0]["pointer"] == "/participants/1"
    assert (OutboundMessage.objects.count(), Participant.objects.count()) == before
    assert Conversation.objects.count() == 1
    assert not RealNumber.objects.with_number(CHARLIE).exists()


def test_the_error_distinguishes_an_unreachable_phone_from_an_exhausted_pool(api):
    nowhere = api.post(URL, request()).json()["detail"]
    add_numbers(1)
    american = api.post(URL, {"participants": people(ALICE, "+12125550101")}).json()["detail"]
    talk(ALICE, BOB)
    on_exhausted = api.post(URL, request()).json()["detail"]

    assert "country GB needs an active number of any country, and the pool has none" in nowhere
    assert "country US needs an active number of US, CA, and the pool has none" in american
    assert "each of the 1 that can text this participant (of any country) serves another conversation" in on_exhausted


def test_the_error_for_a_phone_of_unknown_country_says_so(api):
    add_numbers(1)
    talk(ALICE, BOB)
    RealNumber.objects.update(country="")

    told = api.post(URL, {"participants": people(ALICE, BOB), "geography": "same-country"}).json()["detail"]

    assert "a phone of country unknown needs an active number of its own country, which is unknown" in told


def test_no_error_repeats_a_real_number(api):
    virtual = add_numbers(1)[0]
    talk(ALICE, BOB)

    answers = [
        api.post(URL, {"participants": people(ALICE, BOB)}),
        api.post(URL, {"participants": people(ALICE, ALICE)}),
        api.post(URL, {"participants": people(ALICE, virtual.number)}),
        api.post(URL, {"participants": people("+44770090000", "+44 7700 900001 1 1 1")}),
    ]

    for answer in answers:
        assert 400 <= answer.status_code < 500
        assert "770090000" not in answer.content.decode()


@pytest.mark.parametrize("label", ["x" * 41, "call 07700 900001", 7, None, "a\x00b", "\udfff"])
def test_an_invalid_label_or_one_that_contains_a_phone_number_is_rejected(api, label):
    add_numbers(2)

    response = post(api, {"participants": [{"number": ALICE, "label": label}, {"number": BOB}]})

    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/participants/0/label"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"ttl": 0}, "/ttl"),
        ({"ttl": -5}, "/ttl"),
        ({"ttl": "soon"}, "/ttl"),
        ({"ttl": 10**30}, "/ttl"),
        ({"ttl": True}, "/ttl"),
        ({"reference": "x" * 101}, "/reference"),
        ({"reference": 42}, "/reference"),
        ({"notify": "perhaps"}, "/notify"),
        ({"participants": []}, "/participants"),
        ({"participants": "Alice and Bob"}, "/participants"),
        ({"participants": [ALICE, BOB]}, "/participants/0"),
        ({"participants": [{"number": ALICE}]}, "/participants"),
        ({"participants": [{}, {}]}, "/participants/0/number"),
        ({"tll": 60}, "/tll"),
    ],
)
def test_every_invalid_field_is_a_400_that_points_at_it(api, changes, pointer):
    add_numbers(2)

    response = api.post(URL, request(**changes))

    assert response.status_code == 400
    assert pointer in [error["pointer"] for error in response.json()["errors"]]
    assert nothing_exists()


class TestIdempotencyKey:
    def test_a_repeated_request_gets_the_first_answer_and_creates_nothing(self, api):
        add_numbers(4)

        first = api.post(URL, request(), headers={"Idempotency-Key": "order-42"})
        again = api.post(URL, request(), headers={"Idempotency-Key": "order-42"})

        assert first.status_code == again.status_code == 201
        assert first.json() == again.json()
        assert first["Location"] == again["Location"]
        assert Conversation.objects.count() == 1
        assert OutboundMessage.objects.count() == 2

    def test_a_repeated_request_succeeds_even_if_the_first_took_the_last_number(self, api):
        add_numbers(1)

        answers = [api.post(URL, request(), headers={"Idempotency-Key": "k"}).status_code for _ in range(2)]

        assert answers == [201, 201]

    def test_a_request_with_another_key_or_without_one_creates_another_conversation(self, api):
        add_numbers(3)

        for key in ("a", "b"):
            api.post(URL, request(), headers={"Idempotency-Key": key})
        api.post(URL, request())

        assert Conversation.objects.count() == 3

    def test_a_key_reused_for_a_different_request_is_a_422(self, api):
        add_numbers(4)
        api.post(URL, request(), headers={"Idempotency-Key": "k"})

        response = api.post(URL, request(ttl=600), headers={"Idempotency-Key": "k"})

        assert response.status_code == 422
        assert response.json()["code"] == "idempotency_key_reused"
        assert Conversation.objects.count() == 1

    def test_a_failed_request_can_be_repeated_with_its_key(self, api):
        assert api.post(URL, request(), headers={"Idempotency-Key": "k"}).status_code == 409
        add_numbers(2)

        assert api.post(URL, request(), headers={"Idempotency-Key": "k"}).status_code == 201

    @pytest.mark.parametrize("key", ["", " ", "x" * 101, "a b", "ü"])
    def test_a_malformed_key_is_a_400(self, api, key):
        add_numbers(2)

        assert api.post(URL, request(), headers={"Idempotency-Key": key}).status_code == 400
        assert nothing_exists()


class TestLookup:
    @pytest.fixture(autouse=True)
    def _with_a_lookup(self, settings):
        settings.LOOKUP = "identity_insights"

    def test_a_number_that_the_lookup_finds_invalid_is_rejected_and_nothing_is_created(self, api, carrier):
        add_numbers(2)
        verdicts = {ALICE: LookupVerdict.VALID, BOB: LookupVerdict.INVALID}
        carrier.lookup = lambda number: LookupResult(verdict=verdicts[number])

        response = api.post(URL, request())

        assert response.status_code == 400
        assert response.json()["errors"][0]["pointer"] == "/participants/1/number"
        assert response.json()["errors"][0]["code"] == "number_not_valid"
        assert nothing_exists()

    @pytest.mark.django_db(transaction=True)
    def test_the_lookup_result_is_stored_with_the_real_number_and_reused(self, api, carrier):
        add_numbers(4)
        carrier.lookup = lambda number: LookupResult(verdict=LookupVerdict.VALID, country="IE", line_type="mobile")

        first = api.post(URL, request()).json()
        api.post(URL, request())

        assert sorted(carrier.looked_up) == [ALICE, BOB]
        assert first["participants"][0]["country"] == "IE"
        assert RealNumber.objects.with_number(ALICE).get().line_type == "mobile"

    @pytest.mark.django_db(transaction=True)
    def test_no_transaction_is_open_during_the_lookup(self, api, carrier, monkeypatch):
        add_numbers(2)

        def look_up_outside_transaction(numbers):
            assert not connection.in_atomic_block
            return look_up(numbers)

        monkeypatch.setattr("conversations.lifecycle.create.look_up", look_up_outside_transaction)

        assert api.post(URL, request()).status_code == 201
        assert len(carrier.looked_up) == 2

    def test_both_numbers_are_looked_up_concurrently(self, api, carrier):
        add_numbers(2)
        together = threading.Barrier(2, timeout=60)

        def look_up(number):
            together.wait()
            return LookupResult(verdict=LookupVerdict.VALID)

        carrier.lookup = look_up

        assert api.post(URL, request()).status_code == 201

    def test_a_lookup_failure_does_not_block_creation_and_the_lookup_is_retried_next_time(self, api, carrier):
        add_numbers(4)

        def fail(number):
            raise TemporaryFailure("away")

        carrier.lookup = fail

        assert api.post(URL, request()).status_code == 201
        assert api.post(URL, request()).status_code == 201
        assert len(carrier.looked_up) == 4


def test_in_a_group_the_confirmation_names_the_other_participants(db):
    add_numbers(3)

    talk(ALICE, BOB, CHARLIE, notify=True)

    texts = {message.recipient.number: message.text for message in OutboundMessage.objects.all()}
    assert texts[BOB] == "Reply to this SMS to talk to Alice and Charlie"


def test_a_number_that_stops_being_active_between_choice_and_insert_is_replaced(db, monkeypatch):
    draining, active = add_numbers(2)
    VirtualNumber.objects.filter(pk=draining.pk).update(state=NumberState.DRAINING)
    choices = iter([[draining, active], [active, active]])
    monkeypatch.setattr(
        "conversations.lifecycle.choose_numbers.assign_numbers",
        lambda *args, **kwargs: [Assignment(number, Preference.OWN_COUNTRY) for number in next(choices)],
    )

    conversation = talk(ALICE, BOB)

    assert proxies(conversation) == [active.number] * 2
    assert Conversation.objects.get() == conversation


def test_the_same_two_people_get_the_same_proxy_numbers(db):
    add_numbers(6)
    first = talk(ALICE, BOB)
    first.close()
    Participant.objects.update(released_at=first.closed_at)

    again = talk(ALICE, BOB)

    assert proxies(again) == proxies(first)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_creation_for_new_people_takes_the_same_number_of_queries_at_any_group_size(
    db, django_assert_max_num_queries, count
):
    """Two of the queries are a savepoint. Outside of tests it is the transaction."""
    add_numbers(20)
    group = [ParticipantSpec(number=f"+44770090001{index}") for index in range(count)]

    with django_assert_max_num_queries(15):
        create_conversation(group)


def test_creation_for_known_people_takes_three_queries_more(db, django_assert_max_num_queries):
    add_numbers(8)
    talk(ALICE, BOB)

    with django_assert_max_num_queries(18):
        talk(ALICE, BOB, notify=True)


def test_a_persons_fiftieth_conversation_takes_as_many_queries_as_the_second(db):
    add_numbers(60)
    talk(ALICE, BOB)

    def queries(other):
        with CaptureQueriesContext(connection) as captured:
            talk(ALICE, other, notify=True)
        return len(captured)

    counts = [queries(f"+4477007{index:05}") for index in range(50)]

    # One more query looks for other numbers once Alice has all of the least busy ones.
    assert set(counts) <= {counts[0], counts[0] + 1}


def test_the_participants_of_a_conversation_just_created_or_loaded_with_it_take_no_query(db, django_assert_num_queries):
    add_numbers(2)
    created = talk(ALICE, BOB)
    loaded = Conversation.objects.with_participants().get()

    with django_assert_num_queries(0):
        for conversation in (created, loaded):
            shown = [(each.real_number.number, each.position) for each in conversation.current_participants]
            assert shown == [(ALICE, 0), (BOB, 1)]
