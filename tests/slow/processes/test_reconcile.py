"""A worker is killed in its calls. The carrier's records settle what it received, and staff see the rest marked."""

import signal

import pytest
from django.urls import reverse

from conversations.delivery import outbox
from conversations.models import OutboundMessage, RecordSearch
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, talk
from tests.support.relay_process import Relays, wait_until
from tests.support.stub_carrier import StubCarrier

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

# Code for a worker process: it searches seconds after an attempt instead of minutes.
IN_A_HURRY = """
from datetime import timedelta
from conversations.delivery import reconcile
from conversations.models import outbound
from conversations.worker import reconcile_thread
reconcile_thread.EVERY = 0.1
reconcile.AFTER = timedelta(0)
outbound.SEARCH_AFTER = reconcile.SEARCH_AFTER = tuple(timedelta(seconds=after) for after in (2, 3, 4))
"""


def test_a_killed_workers_messages_are_settled_without_a_second_send_or_marked_for_staff(tmp_path, admin_client):
    add_numbers(2)
    people = [members(talk(ALICE, other))[1] for other in (BOB, CHARLIE)]
    with (
        StubCarrier(tmp_path) as stub,
        Relays(tmp_path, stub, RECONCILE="reports", VONAGE_API_HOST=stub.host, CARRIER_TIMEOUT_SECONDS="2") as relays,
    ):
        stub.behave(hang=True)
        received, lost = (outbox.queue_notice(person, "x" * 200) for person in people)
        victim = relays.start()
        wait_until(lambda: len(stub.requests) == 2)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        stub.behave(forgotten=[f"{lost.client_ref}.1"])
        for _ in range(2):
            relays.start(changes=IN_A_HURRY)

        wait_until(lambda: state_of(received) == "delivered")
        wait_until(lambda: searches_for(lost) == 3)

        assert state_of(lost) == "unknown"
        # No text was sent twice, and one worker asked at a time: each search of the window is one request.
        assert len(stub.requests) == 2
        assert RecordSearch.objects.get().requests <= 4
        assert received.parts.count() == 2
        assert set(received.parts.values_list("status", flat=True)) == {"delivered"}
        page = admin_client.get(reverse("admin:conversations_outboundmessage_changelist")).content.decode()
        assert page.count('<td class="field-carrier_records">not seen by the carrier</td>') == 1
        assert "4477009" not in relays.log


def state_of(message):
    return OutboundMessage.objects.values_list("state", flat=True).get(pk=message.pk)


def searches_for(message):
    return OutboundMessage.objects.values_list("searches", flat=True).get(pk=message.pk)
