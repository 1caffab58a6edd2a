"""Replace a number: the dry run is its confirmation, and the move has the effects that it showed."""

import pytest
from django.urls import reverse

from conversations.admin import replace_number
from conversations.models import OutboundMessage
from numbers.models import NumberState, VirtualNumber
from smsproxy.staff.models import AuditEntry
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation():
    add_numbers(3)
    return talk(ALICE, BOB)


@pytest.fixture
def number(conversation):
    return members(conversation)[0].proxy_number


def url(number):
    return reverse("admin:pool_number_act", args=[number.pk, "replace"])


def told(response):
    return [f"{message.level_tag}: {message}" for message in response.context["messages"]]


def details():
    return list(AuditEntry.objects.filter(action="did").order_by("pk").values_list("detail", flat=True))


def test_the_confirmation_is_the_dry_run_and_changes_nothing(staff, conversation, number):
    shown = staff().get(url(number))

    [move] = shown.context["shown"]["moves"]
    assert str(move.to) in shown.text
    assert str(conversation) in shown.text
    assert "1 person in open conversations uses it" in shown.text
    assert "1 notice is sent from the new number: 1 SMS, about EUR 0.07" in shown.text
    assert number.number in proxies(conversation)
    assert not OutboundMessage.objects.exists()


def test_the_dry_run_shows_no_real_number(staff, number):
    page = staff().get(url(number)).text

    assert ALICE not in page
    assert ALICE[1:] not in page


def test_staff_move_everybody_to_the_numbers_that_the_dry_run_showed(staff, conversation, number):
    client = staff()
    [move] = client.get(url(number)).context["shown"]["moves"]

    response = client.post(url(number), {"reason": "it fails on O2"}, follow=True)

    assert told(response) == [
        "success: 1 person was given another number. No open conversation uses the number any more."
    ]
    assert proxies(conversation)[0] == move.to.number
    number.refresh_from_db()
    assert number.state == NumberState.DRAINING
    event = number.events.first()
    assert (event.reason, event.actor) == ("it fails on O2", "sam")
    assert OutboundMessage.objects.count() == 1
    assert details() == ["replace, begun", "replace"]
    assert AuditEntry.objects.filter(action="did", reason="it fails on O2").count() == 2


def test_the_dry_run_names_the_person_who_moves(staff, conversation, number):
    conversation.participants.update(label="Depot")

    assert "<td>Depot</td>" in staff().get(url(number)).text


def test_without_a_free_number_the_dry_run_and_the_result_say_to_buy(staff, conversation, number):
    VirtualNumber.objects.exclude(pk=number.pk).update(is_reserved=True)
    client = staff()

    assert "No other number is free for 1 of them" in client.get(url(number)).text
    response = client.post(url(number), {"reason": "it fails"}, follow=True)

    assert "No number is free for 1 of them. Buy numbers, then replace again." in told(response)[0]
    assert told(response)[0].startswith("warning: "), "the number is drained"
    assert told(client.post(url(number), {"reason": "it fails"}, follow=True))[0].startswith("error: ")
    assert details() == ["replace, begun", "replace, partly", "replace, begun", "replace, which was refused"]


def test_a_number_with_too_many_people_for_one_request_is_replaced_in_several(staff, conversation, monkeypatch):
    another = talk(CHARLIE, "+447700900004")
    number = VirtualNumber.objects.get(number=(set(proxies(conversation)) & set(proxies(another))).pop())
    monkeypatch.setattr(replace_number, "SECONDS", -1.0)
    client = staff()

    first = client.post(url(number), {"reason": "it fails"}, follow=True)
    second = client.post(url(number), {"reason": "it fails"}, follow=True)

    assert told(first) == ["warning: 1 person was given another number. Still to move: 1. Replace again to go on."]
    assert told(second)[0].endswith("No open conversation uses the number any more.")
    assert details() == ["replace, begun", "replace, partly", "replace, begun", "replace"]


def test_the_dry_run_of_a_busy_number_tries_only_the_first_people(staff, number, monkeypatch):
    monkeypatch.setattr(replace_number, "SHOWN", 0)

    page = staff().get(url(number)).text

    assert "This page tries the first 0" in page
