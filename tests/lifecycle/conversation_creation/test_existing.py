"""What happens if the same people already talk, or if the reference is taken."""

import pytest

from conversations.models import Conversation, OutboundMessage, Participant
from conversations.worker.periodic_jobs import run_jobs
from tests.support.api_requests import URL, asked_for, client_of, counts_are_right, is_refused
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, replace_number_of, talk
from tests.support.concurrency import at_once
from tests.support.outbox import later

pytestmark = pytest.mark.django_db


@pytest.fixture
def create(api):
    """Return a function that posts a request for these people, by default Alice and Bob."""
    add_numbers(12)
    return lambda *numbers, **options: api.post(URL, asked_for(*numbers, **options))


def ids(*answers):
    return [answer.json()["id"] for answer in answers]


def test_by_default_the_same_people_get_another_conversation(create):
    answers = [create(), create(), create(on_existing="new")]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert Conversation.objects.count() == 3


# Return ---------------------------------------------------------------------------------------------------------------


def test_return_answers_with_the_newest_open_conversation_and_changes_nothing(create):
    create()
    newest = create(reference="second", ttl=600)

    answer = create(BOB, ALICE, on_existing="return", reference="third", ttl=86400, notify=True)

    assert answer.status_code == 200
    assert answer["Location"] == newest["Location"]
    assert answer.json() == newest.json()
    assert Conversation.objects.count() == 2
    assert not OutboundMessage.objects.exists()
    assert counts_are_right()


def test_return_creates_a_conversation_if_these_people_have_none(create):
    answers = [create(on_existing="return") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 200]
    assert len(set(ids(*answers))) == 1


def test_only_a_conversation_of_exactly_the_same_people_is_returned(create):
    create(ALICE, BOB, CHARLIE)
    create(ALICE, CHARLIE)

    assert create(ALICE, BOB, on_existing="return").status_code == 201
    assert create(ALICE, BOB, CHARLIE, on_existing="return").status_code == 200
    assert create(BOB, CHARLIE, on_existing="return").status_code == 201


def test_a_person_whose_number_was_replaced_still_counts_once(create):
    first = create()
    replace_number_of(Participant.objects.get(position=0))

    answer = create(on_existing="return")

    assert (answer.status_code, *ids(answer)) == (200, *ids(first))


def test_a_conversation_that_has_ended_is_not_returned(api, create, time_machine):
    closed, expired = create(), create(ttl=60)
    api.post(f"{closed['Location']}close/")
    later(time_machine, 61)

    answer = create(on_existing="return")

    assert answer.status_code == 201
    assert answer.json()["id"] not in ids(closed, expired)


def test_a_conversation_of_another_service_is_not_returned(create):
    first = create()

    answer = client_of("berlin").post(URL, asked_for(on_existing="return"))

    assert answer.status_code == 201
    assert ids(answer) != ids(first)


def test_an_answer_that_returns_a_conversation_is_replayed_for_its_key(api, create):
    create()
    headers = {"Idempotency-Key": "order-42"}

    first, again = [api.post(URL, asked_for(on_existing="return"), headers=headers) for _ in range(2)]

    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    assert again["Idempotency-Replayed"] == "true"


def test_a_conversation_that_is_returned_is_not_charged_as_a_creation(create, settings):
    create()
    settings.CREATIONS_PER_SERVICE_MINUTE = 2

    answers = [create(on_existing="return").status_code for _ in range(3)]

    assert answers == [200, 200, 200]


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
@pytest.mark.parametrize("are_known", [False, True])
def test_ten_creations_at_once_that_return_the_existing_one_make_one_conversation(no_hurry, are_known):
    add_numbers(40)
    clients = [client_of() for _ in range(10)]
    if are_known:
        talk(ALICE, CHARLIE)
        talk(BOB, CHARLIE)

    def create(index):
        people = (ALICE, BOB) if index % 2 else (BOB, ALICE)
        return clients[index].post(URL, asked_for(*people, on_existing="return"))

    answers = at_once(10, create)

    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len(set(ids(*answers))) == 1
    assert Conversation.objects.count() == (3 if are_known else 1)
    assert counts_are_right()


# Reject ---------------------------------------------------------------------------------------------------------------


def test_reject_names_the_conversation_of_the_same_people(create):
    first = create()

    answer = create(BOB, ALICE, on_existing="reject")

    problem = is_refused(answer, 409, "already_talking")
    assert problem["conversation_id"] == first.json()["id"]
    assert Conversation.objects.count() == 1


def test_reject_creates_a_conversation_after_the_other_has_ended(api, create):
    first = create()
    api.post(f"{first['Location']}close/")

    assert create(on_existing="reject").status_code == 201


# A unique reference ---------------------------------------------------------------------------------------------------


def test_a_unique_reference_that_an_open_conversation_has_is_refused_with_its_id(create):
    first = create(reference="order-42")

    answer = create(ALICE, CHARLIE, reference="order-42", unique_reference=True)

    problem = is_refused(answer, 409, "reference_taken")
    assert problem["conversation_id"] == first.json()["id"]
    assert Conversation.objects.count() == 1


def test_a_reference_may_be_used_again_by_a_request_that_does_not_ask_for_a_unique_one(create):
    create(reference="order-42", unique_reference=True)

    assert create(reference="order-42").status_code == 201


def test_a_unique_reference_is_free_after_its_conversation_has_ended(api, create):
    first = create(reference="order-42", unique_reference=True)
    api.post(f"{first['Location']}close/")

    assert create(reference="order-42", unique_reference=True).status_code == 201


@pytest.mark.parametrize(("limit", "reason"), [("ttl", "expired"), ("idle_ttl", "idle")])
def test_a_conversation_whose_time_is_up_frees_its_unique_reference(create, time_machine, limit, reason):
    create(reference="order-42", unique_reference=True, **{limit: 60})
    later(time_machine, 61)

    answer = create(ALICE, CHARLIE, reference="order-42", unique_reference=True)

    assert answer.status_code == 201
    ended = Conversation.objects.last()
    assert (ended.state, ended.closed_reason) == ("closed", reason)
    run_jobs()


def test_another_service_may_have_the_same_unique_reference(create):
    create(reference="order-42", unique_reference=True)

    answer = client_of("berlin").post(URL, asked_for(reference="order-42", unique_reference=True))

    assert answer.status_code == 201


@pytest.mark.parametrize("reference", [{}, {"reference": ""}])
def test_a_unique_reference_that_is_empty_is_a_400(create, reference):
    answer = create(unique_reference=True, **reference)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/reference"


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_of_ten_creations_at_once_with_a_unique_reference_one_succeeds(no_hurry):
    add_numbers(40)
    clients = [client_of() for _ in range(10)]

    def create(index):
        people = (f"+4477007000{index:02}", f"+4477008000{index:02}")
        return clients[index].post(URL, asked_for(*people, reference="order-42", unique_reference=True))

    answers = at_once(10, create)

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    made = Conversation.objects.get()
    refused = [answer for answer in answers if answer.status_code == 409]
    assert {is_refused(answer, 409, "reference_taken")["conversation_id"] for answer in refused} == {
        str(made.public_id)
    }


# A dry run -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"on_existing": "reject"}, 409, "already_talking"),
        ({"reference": "order-42", "unique_reference": True}, 409, "reference_taken"),
        ({"expires_at": "2001-01-31T18:00:00Z"}, 400, "not_in_future"),
    ],
)
def test_a_dry_run_is_refused_as_the_creation_would_be(api, create, options, status, code):
    create(reference="order-42")

    is_refused(api.post(f"{URL}dry-run/", asked_for(**options)), status, code)


def test_a_dry_run_ends_no_conversation_whose_time_is_up(api, create, time_machine):
    create(reference="order-42", unique_reference=True, ttl=60)
    later(time_machine, 61)

    answer = api.post(f"{URL}dry-run/", asked_for(reference="order-42", unique_reference=True))

    assert answer.status_code == 200
    assert Conversation.objects.get().state == "open"
