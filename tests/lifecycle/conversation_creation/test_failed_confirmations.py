"""The marketplace learns that a participant did not get the confirmation."""

import pytest

from conversations.models import OutboundMessage
from smsproxy.carriers.base import PermanentFailure
from tests.support.api_requests import URL, ride_request
from tests.support.builders import add_numbers
from tests.support.outbox import queue, work


@pytest.fixture
def ride(api, carrier):
    """Create a conversation of which the first confirmation is refused, and return its address."""
    add_numbers(2)
    created = api.post(URL, ride_request()).json()
    assert created["notify_failed"] is False
    carrier.script = [PermanentFailure("the number does not exist", code="6")]
    work()
    return f"{URL}{created['id']}/"


def test_the_conversation_says_so(api, ride):
    assert api.get(ride).json()["notify_failed"] is True
    assert [each["notify_failed"] for each in api.get(URL).json()["results"]] == [True]


def test_a_late_receipt_that_it_arrived_corrects_it(api, ride):
    OutboundMessage.objects.filter(state="failed").update(state="delivered")

    assert api.get(ride).json()["notify_failed"] is False


def test_a_failed_message_of_another_kind_does_not_count(api, carrier, bob):
    carrier.script = [PermanentFailure("the number does not exist", code="6")]
    queue(bob, "a notice")
    work()

    assert OutboundMessage.objects.get().state == "failed"
    assert [each["notify_failed"] for each in api.get(URL).json()["results"]] == [False]


def test_staff_see_it_in_the_list(admin_client, ride):
    page = admin_client.get("/admin/conversations/conversation/").content.decode()

    assert "one failed" in page
