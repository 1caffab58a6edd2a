"""Close with a reason, and move the end of a conversation."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from conversations.models import Conversation
from tests.support.api_requests import is_refused
from tests.support.late_messages import HOUR, pass_time

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_still")]


def test_a_conversation_is_closed_with_a_reason(api, create):
    address = create()

    answer = api.post(f"{address}close/", {"reason": "ride completed", "permanent": True}).json()

    assert (answer["status"], answer["closed_reason"]) == ("closed", "ride completed")
    assert answer == api.get(address).json()
    event = Conversation.objects.get().events.first()
    assert (event.reason, event.actor) == ("ride completed", "API key rides-backend")


def test_a_repeated_closing_keeps_the_first_reason(api, create):
    address = create()
    first = api.post(f"{address}close/", {"reason": "ride completed"})

    second = api.post(f"{address}close/", {"reason": "another"})

    assert (second.status_code, second.json()) == (200, first.json())


def test_a_later_closing_can_make_it_permanent(api, create):
    address = create(late_messages="reopen")
    api.post(f"{address}close/", {"reason": "ride completed"})

    answer = api.post(f"{address}close/", {"permanent": True}).json()

    assert (answer["late_messages"], answer["closed_reason"]) == ("end", "ride completed")


def test_one_whose_time_is_up_keeps_that_as_its_reason(api, create, time_machine):
    address = create(ttl=60)
    pass_time(time_machine, 61)

    answer = api.post(f"{address}close/", {"reason": "ride completed"}).json()

    assert answer["closed_reason"] == "expired"


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("", "blank"),
        ("x" * 101, "max_length"),
        ("two\nlines", "control_character"),
        ("call +447700900099", "phone_number"),
        ("447700900099", "phone_number"),
        ("call 07700 900099", "phone_number"),
        ("expired", "reserved"),
        (7, "not_a_string"),
    ],
)
def test_a_wrong_reason_is_rejected_and_the_conversation_stays_open(api, create, reason, code):
    address = create()

    problem = is_refused(api.post(f"{address}close/", {"reason": reason}), 400, code)

    assert problem["errors"][0]["pointer"] == "/reason"
    assert "900099" not in str(problem)
    assert api.get(address).json()["status"] == "open"


def test_an_extension_moves_the_present_end_and_keeps_the_ttl(api, create, time_machine):
    address = create(ttl=HOUR)
    pass_time(time_machine, 600)
    end = datetime.fromisoformat(api.get(address).json()["expires_at"])

    answer = api.post(f"{address}extend/", {"seconds": 120})

    assert answer.status_code == 200
    assert answer.json() == api.get(address).json()
    assert datetime.fromisoformat(answer.json()["expires_at"]) == end + timedelta(seconds=120)
    assert answer.json()["ttl"] == HOUR


def test_a_fixed_end_can_be_extended_and_stays_fixed(api, create):
    end = (timezone.now() + timedelta(hours=1)).replace(microsecond=0)
    address = create(expires_at=end.isoformat())

    answer = api.post(f"{address}extend/", {"seconds": 60}).json()

    assert (answer["ttl"], datetime.fromisoformat(answer["expires_at"])) == (None, end + timedelta(seconds=60))


def test_an_extension_that_is_sent_again_with_its_key_extends_once(api, create):
    address = create(ttl=HOUR)

    answers = [
        api.post(f"{address}extend/", {"seconds": 60}, headers={"Idempotency-Key": "one-minute"}) for _ in range(2)
    ]

    assert answers[0].json() == answers[1].json() == api.get(address).json()
    assert "Idempotency-Replayed" in answers[1]
    problem = api.post(f"{address}extend/", {"seconds": 61}, headers={"Idempotency-Key": "one-minute"})
    is_refused(problem, 422, "idempotency_key_reused")


def test_a_conversation_without_an_end_cannot_be_extended(api, create):
    is_refused(api.post(f"{create(idle_ttl=60)}extend/", {"seconds": 60}), 409, "no_end")


@pytest.mark.parametrize("is_closed", [True, False])
def test_an_ended_conversation_cannot_be_extended(api, create, time_machine, is_closed):
    address = create(ttl=60)
    if is_closed:
        api.post(f"{address}close/")
    else:
        pass_time(time_machine, 61)

    is_refused(api.post(f"{address}extend/", {"seconds": 60}), 409, "conversation_ended")


def test_an_end_can_be_moved_to_366_days_from_now_and_not_later(api, create):
    day = 86400
    address = create(ttl=365 * day)

    assert api.post(f"{address}extend/", {"seconds": day}).status_code == 200
    is_refused(api.post(f"{address}extend/", {"seconds": 1}), 409, "end_too_late")


def test_a_stored_end_beyond_366_days_stays_until_it_is_changed(api, create):
    """Earlier versions accepted any end."""
    far = "9999-12-31T23:59:59Z"
    address = create(reference="old")
    Conversation.objects.update(expires_at=far)

    assert api.patch(address, {"reference": "new"}).json()["expires_at"] == far
    is_refused(api.post(f"{address}extend/", {"seconds": 1}), 409, "end_too_late")
    assert api.post(f"{address}close/").status_code == 200
    reopened = api.post(f"{address}reopen/").json()
    assert (reopened["status"], reopened["expires_at"]) == ("open", far)
    assert api.patch(address, {"ttl": 600}).json()["ttl"] == 600


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "required"),
        ({"seconds": 0}, "min_value"),
        ({"seconds": "60"}, "not_an_integer"),
        ({"seconds": 60, "ttl": 60}, "unknown_field"),
    ],
)
def test_a_wrong_extension_is_rejected(api, create, body, code):
    is_refused(api.post(f"{create(ttl=HOUR)}extend/", body), 400, code)
