"""POST /api/v1/conversations/ gives each participant a number of their own, and a confirmation from it."""

import pytest

from conversations.models import Conversation, OutboundMessage, Participant
from numbers.assignment.choose import Assignment, Preference
from numbers.models import NumberState, VirtualNumber
from tests.support.api_requests import URL, people, ride_request
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, proxies, talk


def test_each_participant_gets_a_proxy_number_of_their_own(api):
    add_numbers(2)

    response = api.post(URL, ride_request())

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

    body = api.post(URL, ride_request()).json()

    texts = {message.recipient.number: message for message in OutboundMessage.objects.all()}
    assert texts[ALICE].text == "Reply to this SMS to talk to Driver"
    assert texts[BOB].text == "Reply to this SMS to talk to Rider"
    assert texts[ALICE].sender.number == body["participants"][0]["proxy_number"]
    assert texts[BOB].sender.number == body["participants"][1]["proxy_number"]


def test_notify_false_sends_no_confirmation(api):
    add_numbers(2)

    assert api.post(URL, ride_request(notify=False)).status_code == 201

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
        "conversations.lifecycle.choose_numbers.assign_with_sides",
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


@pytest.mark.parametrize("limit", [0, 1])
def test_the_answer_of_a_creation_is_that_of_a_later_read(api, settings, limit):
    """The creation knows its confirmations without a query. One of the two is beyond its limit."""
    settings.CONFIRMATIONS_PER_PERSON_DAY = limit
    add_numbers(4)
    created = [api.post(URL, ride_request()) for _ in range(2)]

    read = [api.get(answer["Location"]) for answer in created]

    assert [answer.json() for answer in created] == [answer.json() for answer in read]
    assert created[1].json()["notify_status"] == ("queued" if limit == 0 else "none")
