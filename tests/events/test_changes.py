"""The events of changes of a conversation's terms and people, made through the API, by staff and by commands."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.urls import reverse

from conversations.api.change_requests import ChangeSerializer
from conversations.api.requests import ParticipantChangesSerializer
from conversations.lifecycle.remove_participant import remove_participant
from conversations.models import Conversation, Participant
from conversations.models.conversation_feed import CHANGED_OF_PARTICIPANTS, CHANGED_TERMS
from numbers.models import RealNumber
from smsproxy.database.clock import database_now
from smsproxy.events.models import FeedEvent
from tests.support.api_requests import URL, is_refused
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, replace_number_of, talk
from tests.support.feed import read_all
from tests.support.outbox import queue
from tests.support.participants import DORA, Participants, proxy_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("every_event_is_valid")]

NEW_PHONE = "+447700900055"
TTL = 3600
IN_A_MONTH = (datetime.now(UTC) + timedelta(days=30)).isoformat()


@pytest.fixture
def trio():
    add_numbers(6)
    return talk(ALICE, BOB, CHARLIE, ttl=TTL, idle_ttl=TTL, reference="order-42", late_messages="reopen")


@pytest.fixture
def address(trio):
    return f"{URL}{trio.public_id}/"


@pytest.fixture
def of_trio(api, trio):
    return Participants(api, trio)


@pytest.fixture
def told(api, trio):
    """Return a function that returns type and data of the conversation's events after its creation."""

    def told():
        events = [event for event in read_all(api) if event["conversation"]["id"] == str(trio.public_id)]
        created, *later = [(event["type"], event["data"]) for event in events]
        assert created[0] == "conversation.created"
        return later

    return told


def terms(*changed):
    return ("conversation.changed", {"changed": list(changed)})


# Terms ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ({"ttl": 7200}, ["ttl", "expires_at"]),
        ({"ttl": TTL}, ["expires_at"]),
        ({"expires_at": IN_A_MONTH}, ["ttl", "expires_at"]),
        ({"idle_ttl": 600}, ["idle_ttl", "idle_at"]),
        ({"reference": "order-43"}, ["reference"]),
        ({"unique_reference": True}, ["unique_reference"]),
        ({"metadata": {"driver": 7}, "late_messages": "end"}, ["metadata", "late_messages"]),
        ({"language": "de"}, ["language"]),
        ({"texts": {"ended": "Over."}}, ["texts"]),
    ],
)
def test_a_change_of_terms_names_the_fields_and_not_their_values(api, address, told, body, changed):
    assert api.patch(address, body).status_code == 200

    [(type_, data)] = told()
    assert (type_, sorted(data["changed"])) == ("conversation.changed", sorted(changed))
    assert list(data) == ["changed"]


def test_only_what_changes_is_named_and_a_change_of_nothing_is_not_told(api, address, told):
    api.patch(address, {"reference": "order-42", "late_messages": "reopen"})
    api.patch(address, {})
    assert told() == []

    api.patch(address, {"reference": "order-42", "language": "de"})
    assert told() == [terms("language")]


def test_a_refused_change_is_not_told(api, address, told):
    api.post(f"{address}close/")
    before = told()

    is_refused(api.patch(address, {"ttl": 600, "reference": "new"}), 409, "conversation_ended")

    assert told() == before


def test_an_extension_is_told_once_however_often_it_is_sent(api, address, told):
    for _ in range(2):
        api.post(f"{address}extend/", {"seconds": 60}, headers={"Idempotency-Key": "one-minute"})

    assert told() == [terms("expires_at")]


def test_a_permanent_closing_tells_that_late_texts_do_not_reopen_the_conversation_any_more(api, address, told):
    api.post(f"{address}close/", {"permanent": True})
    api.post(f"{address}close/", {"permanent": True})

    changed, closed = told()
    assert changed == terms("late_messages")
    assert closed[0] == "conversation.closed"


@pytest.mark.parametrize("is_open", [True, False])
def test_a_permanent_closing_by_staff_is_told_too(admin_client, trio, told, is_open):
    if not is_open:
        trio.close()

    data = {"action": "close", "_selected_action": [trio.pk], "reason": "ticket 4711"}
    admin_client.post(reverse("admin:conversations_conversation_changelist"), data)

    assert Conversation.objects.get().late_messages == "end"
    assert [event for event in told() if event[0] != "conversation.closed"] == [terms("late_messages")]


def test_a_reopening_with_another_end_is_told_as_a_reopening_alone(api, address, trio, told):
    trio.close()

    assert api.post(f"{address}reopen/", {"ttl": 600}).json()["ttl"] == 600

    assert [type_ for type_, _ in told()] == ["conversation.closed", "conversation.reopened"]


def test_a_text_which_moves_the_idle_end_is_no_change_of_terms(trio, told):
    trio.touch(database_now() + timedelta(seconds=60))

    assert told() == []


# Participants ---------------------------------------------------------------------------------------------------------


def test_who_joins_is_told_once_with_their_proxy_number(of_trio, told):
    number = proxy_of(of_trio.add(DORA, key="add-dora"))
    of_trio.add(DORA, key="add-dora")
    is_refused(of_trio.add(DORA), 409, "already_participant")

    assert told() == [("participant.added", {"participant": 3, "proxy_number": number})]


def test_who_comes_back_is_told_with_their_new_position(of_trio, told):
    of_trio.remove(1)
    number = proxy_of(of_trio.add(BOB))

    assert told() == [
        ("participant.removed", {"participant": 1}),
        ("participant.added", {"participant": 3, "proxy_number": number}),
    ]


def test_a_removal_is_told_before_what_it_cancels(trio, of_trio, told):
    queue(members(trio)[1], "Hi")

    of_trio.remove(1)
    is_refused(of_trio.remove(0), 409, "too_few_participants")

    removed, cancelled = told()
    assert removed == ("participant.removed", {"participant": 1})
    assert (cancelled[0], cancelled[1]["recipient"]) == ("message.cancelled", 1)


def test_another_label_or_direction_is_told_by_the_names_of_the_fields(of_trio, told):
    of_trio.change(1, label="Driver", one_way=False)
    of_trio.change(1, label="Driver", one_way=True)
    of_trio.change(1, label="Driver", number=BOB)

    assert told() == [
        ("participant.changed", {"participant": 1, "changed": ["label"]}),
        ("participant.changed", {"participant": 1, "changed": ["one_way"]}),
    ]


def test_another_phone_is_told_without_its_number(of_trio, told):
    proxy_of(of_trio.change(1, number=NEW_PHONE, label="Driver"))
    proxy_of(of_trio.change(1, number=NEW_PHONE))

    assert told() == [("participant.changed", {"participant": 1, "changed": ["number", "label"]})]
    assert NEW_PHONE[1:] not in str(FeedEvent.objects.values())


def test_another_phone_that_needs_another_proxy_number_tells_both(trio, of_trio, told):
    taken = members(trio)[1].proxy_number
    # The new phone has this number in another conversation.
    talk(NEW_PHONE, DORA)
    Participant.objects.filter(real_number__in=RealNumber.objects.with_number(NEW_PHONE)).update(proxy_number=taken)

    number = proxy_of(of_trio.change(1, number=NEW_PHONE))

    assert number != taken.number
    assert told() == [
        ("participant.changed", {"participant": 1, "changed": ["number"]}),
        ("participant.proxy_number_changed", {"participant": 1, "proxy_number": number}),
    ]


def test_another_proxy_number_alone_is_no_further_change(trio, told):
    spare = replace_number_of(alice := members(trio)[0])

    ours = [event for event in told() if event[1]["participant"] == alice.position]
    assert ours == [("participant.proxy_number_changed", {"participant": 0, "proxy_number": spare.number})]


def test_a_change_that_is_rolled_back_is_not_told(trio, told):
    with transaction.atomic():
        remove_participant(trio, 1)
        trio.extend(60)
        transaction.set_rollback(True)

    assert told() == []


# The names ------------------------------------------------------------------------------------------------------------


def test_each_field_that_can_be_changed_can_be_named():
    assert set(ChangeSerializer().fields) | {"idle_at"} == set(CHANGED_TERMS)
    assert set(ParticipantChangesSerializer().fields) - {"notify"} == set(CHANGED_OF_PARTICIPANTS)
