"""No conversation begins with a person who has opted out."""

import threading

import pytest
from django.db import connection, transaction

from conversations.lifecycle import check_people
from conversations.models import Conversation, OutboundMessage, Participant
from numbers.models import RealNumber
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, talk
from tests.support.concurrency import wait_for_a_lock

URL = "/api/v1/conversations/"


def request(*numbers):
    labels = ["Rider", "Driver", "Friend"]
    people = [{"number": number, "label": label} for number, label in zip(numbers, labels, strict=False)]
    return {"participants": people}


def opt_out(number):
    [person] = RealNumber.objects.get_or_create_many([number]).values()
    return person.opt_out(reason="texted STOP")


@pytest.mark.parametrize("url", [URL, f"{URL}dry-run/"])
@pytest.mark.parametrize(("numbers", "position", "label"), [((ALICE, BOB), 1, "Driver"), ((BOB, ALICE), 0, "Rider")])
def test_a_creation_and_its_dry_run_are_refused_and_name_the_participant(api, url, numbers, position, label):
    add_numbers(3)
    opt_out(BOB)

    response = api.post(url, request(*numbers))

    assert response.status_code == 409
    problem = response.json()
    assert (problem["code"], problem["title"]) == ("opted_out", "A participant has opted out")
    detail = "has opted out of messages with STOP. They can text START to any number of ours that they know"
    assert problem["detail"] == f"Participant {position} ({label}): {detail}."
    assert problem["errors"] == [{"pointer": f"/participants/{position}/number", "code": "opted_out", "detail": detail}]
    assert BOB not in response.content.decode()
    assert not any(model.objects.exists() for model in (Conversation, Participant, OutboundMessage))
    assert RealNumber.objects.count() == 1


def test_no_lookup_is_paid_for(api, carrier, settings):
    settings.LOOKUP = "identity_insights"
    add_numbers(3)
    opt_out(BOB)

    assert api.post(URL, request(ALICE, BOB, CHARLIE)).status_code == 409

    assert carrier.looked_up == []


def test_a_person_who_stops_while_the_lookup_runs_is_refused(api, monkeypatch):
    add_numbers(3)

    def look_up(numbers):
        opt_out(BOB)
        return {}

    monkeypatch.setattr(check_people, "look_up", look_up)

    assert api.post(URL, request(ALICE, BOB)).json()["code"] == "opted_out"
    assert not Conversation.objects.exists()


def test_a_repeat_of_a_creation_from_before_the_stop_shows_that_conversation(api):
    add_numbers(3)
    first = api.post(URL, request(ALICE, BOB), headers={"Idempotency-Key": "1"})
    opt_out(BOB)

    again = api.post(URL, request(ALICE, BOB), headers={"Idempotency-Key": "1"})

    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])


def test_after_start_conversations_begin_again(api):
    add_numbers(3)
    opt_out(BOB).opt_in(reason="texted START")

    assert api.post(URL, request(ALICE, BOB)).status_code == 201


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_creation_that_waits_for_a_stop_sees_it(api):
    add_numbers(4)
    talk(ALICE, BOB)
    answers = []

    def create_another():
        answers.append(api.post(URL, request(CHARLIE, BOB)).json()["code"])
        connection.close()

    thread = threading.Thread(target=create_another)
    with transaction.atomic():
        opt_out(BOB)
        thread.start()
        wait_for_a_lock()
    thread.join()

    assert answers == ["opted_out"]
    assert Conversation.objects.count() == 1
