"""The state of the phones page: ticks, trips, and the cost of asking again and again."""

import pytest
from django.urls import reverse

from conversations.delivery.relay import Relay
from numbers.models import NumberState, VirtualNumber
from smsproxy.carriers.base import Feature, NumberType
from smsproxy.simulator.models import FaultKind, SimulatedHandset, Verb
from smsproxy.simulator.network import send_from_handset
from tests.support.builders import ALICE, BOB, CHARLIE, talk
from tests.support.simulated import OURS, fault, phone

# The simulator calls webhooks within the process. Like any request, each call closes the database connection.
pytestmark = pytest.mark.django_db(transaction=True)


def ask(client, **query):
    return client.get(reverse("simulator-state"), query)


def say(number, text, to=OURS):
    send_from_handset(phone(number), to, text)
    Relay().send_due()


def tick(state):
    """Return the mark of the newest typed text on the first phone."""
    return [text for text in state["phones"][0]["threads"][0]["texts"] if text["typed"]][-1]["tick"]["mark"]


@pytest.fixture
def phones(conversation):
    """Return the phones of Alice and Bob, in a conversation."""
    return phone(ALICE), phone(BOB)


# Ticks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "kind", "mark"),
    [
        (None, None, "delivered"),
        (Verb.SEND, FaultKind.NO_RECEIPT, "sent"),
        (Verb.SEND, FaultKind.DELAYED, "sent"),
        (Verb.SEND, FaultKind.UNDELIVERED, "failed"),
        (Verb.SEND, FaultKind.REFUSED, "failed"),
        (Verb.SEND, FaultKind.THROTTLED, "sending"),
        (Verb.SEND, FaultKind.LOST_REQUEST, "sending"),
        (Verb.RECEIVE, FaultKind.LATE_PART, "sending"),
        (Verb.RECEIVE, FaultKind.DUPLICATE_INBOUND, "delivered"),
    ],
)
def test_the_tick_says_what_became_of_a_text(client, phones, verb, kind, mark):
    if verb:
        fault(verb, kind)
    say(ALICE, "Hello there")
    assert tick(ask(client).json()) == mark


def test_a_text_after_the_end_is_marked_as_not_passed_on(client, phones, conversation):
    conversation.close()
    say(ALICE, "Too late?")
    state = ask(client).json()
    assert tick(state) == "stopped"
    assert "ended" in state["trips"][-1]["words"]


def test_a_text_to_several_says_how_many_have_it(client, network):
    VirtualNumber.of(OURS, "GB", NumberType.MOBILE, frozenset({Feature.SMS}), state=NumberState.ACTIVE).save()
    for number in (ALICE, BOB, CHARLIE):
        phone(number)
    group = talk(ALICE, BOB, CHARLIE)
    fault(Verb.SEND, FaultKind.UNDELIVERED)
    say(ALICE, "Hello both")
    state = ask(client, conversation=str(group.public_id)).json()
    [text] = state["phones"][0]["threads"][0]["texts"][:1]
    assert text["tick"] == {"mark": "failed", "words": "Delivered to 1 of 2"}
    assert len(state["phones"]) == 3
    assert len([leg for leg in state["trips"][-1]["legs"] if leg["is_relay"]]) == 2


# Trips ----------------------------------------------------------------------------------------------------------------


def test_a_trip_says_which_number_each_sees_and_which_nobody_sees(client, phones):
    say(ALICE, "Hello")
    [trip] = ask(client).json()["trips"]
    assert (trip["from"]["name"], trip["from"]["own"]) == ("Alice", "+44 ••• 01")
    assert trip["number"] == "+44 7700 900100"
    assert [(leg["to"]["name"], leg["number"]) for leg in trip["legs"]] == [("Bob", "+44 7700 900100")]
    assert (trip["tone"], trip["stage"]) == ("good", 4)
    assert [step["at"] for step in trip["steps"]] == sorted(step["at"] for step in trip["steps"])
    assert "Alice texts +44 7700 900100." in [step["words"] for step in trip["steps"]]
    assert "900001" not in ask(client).text.replace(" ", "").partition('"trips"')[2]


def test_a_trip_says_what_the_network_did_to_a_text(client, phones):
    fault(Verb.RECEIVE, FaultKind.DUPLICATE_INBOUND)
    say(ALICE, "Hello")
    [trip] = ask(client).json()["trips"]
    assert "The network delivers it twice. The proxy stores it once." in [step["words"] for step in trip["steps"]]


def test_the_trips_of_a_conversation_include_those_from_phones_that_are_not_shown(client, phones, conversation):
    say(BOB, "Hello")
    [trip] = ask(client, phones=str(phones[0].pk), conversation=str(conversation.public_id)).json()["trips"]
    assert (trip["from"]["name"], trip["from"]["phone"]) == ("Bob", None)


def test_a_strangers_text_ends_at_the_proxy(client, phones):
    stranger = phone("+447700900099")
    say("+447700900099", "Who is this?")
    trip = ask(client, phones=str(stranger.pk)).json()["trips"][-1]
    assert (trip["tone"], trip["stage"]) == ("stopped", 2)
    assert not [leg for leg in trip["legs"] if leg["is_relay"]]


# What is shown --------------------------------------------------------------------------------------------------------


def test_the_address_names_the_conversation_and_its_phones_follow(client, phones, conversation):
    phone(CHARLIE)
    state = ask(client, conversation=str(conversation.public_id)).json()
    assert [each["id"] for each in state["phones"]] == [handset.pk for handset in phones]
    assert state["conversation"]["id"] == str(conversation.public_id)
    assert state["conversation"]["staff_url"].startswith("/admin/")
    assert all(each["current"] == OURS for each in state["phones"])


@pytest.mark.parametrize("value", ["", "x", "\0", "9" * 400, "00000000-0000-0000-0000-000000000000"])
def test_a_conversation_that_does_not_exist_is_ignored(client, phones, conversation, value):
    assert ask(client, conversation=value).json()["conversation"]["id"] == str(conversation.public_id)


def test_at_most_six_phones_are_shown(client, phones):
    ids = [phone(f"+4477009000{index:02}").pk for index in range(10, 20)]
    assert len(ask(client, phones=",".join(map(str, ids))).json()["phones"]) == 6


def test_a_name_is_a_name_and_a_phone_without_one_is_masked_among_the_choices(client, phones):
    SimulatedHandset.objects.filter(pk=phones[0].pk).update(name="Ann")
    assert [each["name"] for each in ask(client).json()["people"]] == ["Ann", "Phone +44 ••• 02"]


# Its cost -------------------------------------------------------------------------------------------------------------


def test_without_a_choice_everybody_in_the_newest_conversation_is_shown(client, network):
    VirtualNumber.of(OURS, "GB", NumberType.MOBILE, frozenset({Feature.SMS}), state=NumberState.ACTIVE).save()
    for number in (ALICE, BOB, CHARLIE):
        phone(number)
    talk(ALICE, BOB, CHARLIE)

    assert len(ask(client).json()["phones"]) == 3


def test_the_phones_speak_the_language_of_the_browser(client, phones):
    german = {"Accept-Language": "de"}

    assert '<html lang="de">' in client.get("/", headers=german).text
    say(ALICE, "Hello there")
    [trip] = client.get(reverse("simulator-state"), headers=german).json()["trips"]
    assert trip["words"] == "Zugestellt"


def test_asking_again_costs_a_look_at_each_table(client, phones, django_assert_max_num_queries):
    say(ALICE, "Hello")
    version = ask(client).json()["version"]
    with django_assert_max_num_queries(9):
        assert ask(client, since=version).status_code == 204
    say(ALICE, "Hello again")
    assert ask(client, since=version).status_code == 200


@pytest.mark.parametrize("texts", [1, 12])
def test_the_whole_state_takes_a_bounded_number_of_queries(client, phones, django_assert_max_num_queries, texts):
    for index in range(texts):
        say(ALICE, f"Text {index}")
    with django_assert_max_num_queries(32):
        assert len(ask(client).json()["trips"]) == min(texts, 8)


def test_a_change_of_any_kind_changes_the_version(client, phones, conversation):
    seen = [ask(client).json()["version"]]
    for change in (
        lambda: say(ALICE, "Hello"),
        lambda: fault(Verb.SEND, FaultKind.NO_RECEIPT),
        lambda: say(BOB, "Hello back"),
        conversation.close,
        conversation.reopen,
    ):
        change()
        seen.append(ask(client).json()["version"])
    assert len(set(seen)) == len(seen)
