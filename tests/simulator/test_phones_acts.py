"""What the phones page can do: begin, end and reopen a conversation, and make the network fail."""

import json
import uuid

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from conversations.delivery.relay import Relay
from conversations.models import Conversation, InboundMessage, InboundOutcome
from conversations.phones.switches import MAX_LEFT, SWITCHES
from numbers.models import NumberState, RealNumber, VirtualNumber
from smsproxy.carriers.base import Feature, NumberType
from smsproxy.simulator.models import FaultKind, SimulatedFault, SimulatedHandset, SimulatedNumber, Verb
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.builders import ALICE, CHARLIE, talk
from tests.support.simulated import OURS, phone

SECOND = "+447700900101"
pytestmark = pytest.mark.django_db(transaction=True)


def post(client, name, body=None, **arguments):
    return client.post(reverse(name, kwargs=arguments), json.dumps(body or {}), content_type="application/json")


def begin(client, *people):
    return post(client, "simulator-create", {"people": list(people)})


def new(name):
    return {"handset": None, "label": name}


@pytest.fixture
def pool(network):
    """Return two virtual numbers that can send."""
    for number in (OURS, SECOND):
        if number != OURS:
            network.buy(number, "GB")
        VirtualNumber.of(number, "GB", NumberType.MOBILE, frozenset({Feature.SMS}), state=NumberState.ACTIVE).save()


@pytest.fixture
def alice(pool):
    return {"handset": named(ALICE, "Alice").pk}


def named(number, name):
    handset = phone(number)
    SimulatedHandset.objects.filter(pk=handset.pk).update(name=name)
    return handset


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer["Content-Type"] == "application/problem+json"
    return answer.json()["detail"]


# Begin ----------------------------------------------------------------------------------------------------------------


def test_people_with_phones_and_new_ones_begin_a_conversation(client, alice):
    answer = begin(client, alice, new("Sam"), new("Kim"))
    assert answer.status_code == 201, answer.text
    conversation = Conversation.objects.get(public_id=answer.json()["id"])
    assert [each.label for each in conversation.current_participants] == ["Alice", "Sam", "Kim"]
    assert [SimulatedHandset.objects.get(pk=pk).name for pk in answer.json()["phones"]] == ["Alice", "Sam", "Kim"]
    assert conversation.messages.filter(kind="confirmation").count() == 3


def test_six_may_talk_and_each_gets_a_number(client, alice):
    answer = begin(client, alice, *(new(f"Person {index}") for index in range(5)))
    assert answer.status_code == 201, answer.text
    assert Conversation.objects.get().participants.count() == 6


@pytest.mark.parametrize(
    "people",
    [
        None,
        [],
        "people",
        [new("Sam")],
        [new(str(index)) for index in range(7)],
        [None, None],
        [new("Sam"), new("")],
        [new("Sam"), new("  ")],
        [new("Sam"), new("x" * 41)],
        [new("Sam"), new("a\0b")],
        [new("Sam"), new("\ud800")],
        [new("Sam"), new("two\nlines")],
        [new("Sam"), new(5)],
        [new("Sam"), {"handset": "1", "label": "Kim"}],
        [new("Sam"), {"handset": True, "label": "Kim"}],
    ],
)
def test_a_bad_choice_of_people_is_rejected(client, pool, people):
    assert problem(post(client, "simulator-create", {"people": people}), 400)
    assert not Conversation.objects.exists()


def test_the_same_person_twice_is_rejected(client, alice):
    assert "once" in problem(begin(client, alice, alice), 400)


def test_a_label_that_the_product_rejects_is_rejected_in_words(client, alice):
    assert "expected a name with at most 6 digits" in problem(begin(client, alice, new("call 7700900002")), 409)


def test_without_a_free_number_the_refusal_names_the_person_and_says_what_to_do(client, alice):
    for name in ("Sam", "Kim"):
        assert begin(client, alice, new(name)).status_code == 201
    detail = problem(begin(client, alice, new("Lee")), 409)
    assert detail == (
        "Alice uses every virtual number in other conversations, open or just ended. End one of them and wait a moment."
    )


def test_after_an_end_a_person_with_all_numbers_in_use_may_begin_again(client, alice, settings):
    settings.SOFT_COOL_DOWN_SECONDS = 0
    last = [begin(client, alice, new(name)).json()["id"] for name in ("Sam", "Kim")][-1]
    Relay().send_due()
    assert post(client, "simulator-end", public_id=last).status_code == 204
    assert begin(client, alice, new("Lee")).status_code == 201
    # Its number is in use again, so the one that ended cannot come back.
    assert "Start a new one" in problem(post(client, "simulator-reopen", public_id=last), 409)


# End and reopen -------------------------------------------------------------------------------------------------------


def test_a_conversation_ends_once_and_reopens_once(client, alice):
    found = begin(client, alice, new("Sam")).json()["id"]
    for name, state in [("end", "closed"), ("end", "closed"), ("reopen", "open"), ("reopen", "open")]:
        assert post(client, f"simulator-{name}", public_id=found).status_code == 204
        assert Conversation.objects.get().state == state
    reasons = Conversation.objects.get().events.filter(actor="phones page").values_list("reason", flat=True)
    assert sorted(reasons) == ["closed", "reopened"]


def test_a_conversation_of_somebody_who_opted_out_is_not_reopened(client, alice):
    found = begin(client, alice, new("Sam")).json()["id"]
    post(client, "simulator-end", public_id=found)
    RealNumber.objects.update(opted_out_at=timezone.now())
    assert problem(post(client, "simulator-reopen", public_id=found), 409).startswith("Alice has opted out")


@pytest.mark.parametrize("name", ["simulator-end", "simulator-reopen"])
def test_a_conversation_that_does_not_exist_is_not_found(client, db, name):
    assert problem(post(client, name, public_id=uuid.uuid4()), 404)


# The network ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("switch", SWITCHES.values(), ids=SWITCHES)
def test_each_switch_is_a_fault_that_the_network_knows(client, switch):
    for _ in range(2):
        assert post(client, "simulator-faults", {"kind": switch.name}).status_code == 204
    for stored in SimulatedFault.objects.all():
        stored.full_clean()
    left = client.get(reverse("simulator-state")).json()["faults"]
    assert left == dict.fromkeys(SWITCHES, 0) | {switch.name: 2}


def test_the_network_works_again(client):
    SimulatedFault.objects.create(verb=Verb.BUY, kind=FaultKind.REFUSED, remaining=3)
    post(client, "simulator-faults", {"kind": "drop"})
    assert client.get(reverse("simulator-state")).json()["other_faults"] == 3
    assert post(client, "simulator-clear-faults").status_code == 204
    assert not SimulatedFault.objects.exists()


def test_a_switch_waits_for_a_bounded_number_of_texts(client):
    answers = [post(client, "simulator-faults", {"kind": "drop"}) for _ in range(MAX_LEFT + 1)]
    assert problem(answers[-1], 409).startswith(f"{MAX_LEFT} such texts wait already")


@pytest.mark.parametrize("kind", [None, "", "x", 5, ["drop"]])
def test_an_unknown_switch_is_rejected(client, kind):
    assert problem(post(client, "simulator-faults", {"kind": kind}), 400).startswith("kind: ")


@pytest.mark.parametrize("name", ["simulator-create", "simulator-faults", "simulator-clear-faults"])
def test_other_sites_cannot_act_and_a_link_cannot_either(db, name):
    assert post(Client(enforce_csrf_checks=True), name).status_code == 403
    assert Client().get(reverse(name)).status_code == 405


# A wrong number -------------------------------------------------------------------------------------------------------


def test_a_text_to_a_wrong_number_waits_for_staff(client, pool, alice):
    SimulatedNumber.objects.update(webhook_url=inbound_sms_url())
    begin(client, alice, new("Bob"))
    theirs = Conversation.objects.get().participants.get(real_number__number_hash=phone(ALICE).number_hash)

    answer = post(client, "simulator-stray", alice)

    assert answer.status_code == 201
    text = InboundMessage.objects.get()
    assert (text.participant, text.outcome) == (None, InboundOutcome.NO_ROUTE)
    assert text.virtual_number_id != theirs.proxy_number_id


def test_without_another_number_there_is_no_wrong_one(client, pool, alice):
    VirtualNumber.objects.exclude(number=OURS).update(state=NumberState.QUARANTINED)
    talk(ALICE, CHARLIE)

    assert "Every virtual number serves this person" in problem(post(client, "simulator-stray", alice), 409)
