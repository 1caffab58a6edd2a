"""The simulator's pages for staff, and its command."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from smsproxy.simulator.models import (
    SimulatedFault,
    SimulatedHandset,
    SimulatedText,
)
from tests.support.builders import ALICE
from tests.support.simulated import text

# The simulator calls webhooks within the process. Like any request, each call closes the database connection.
pytestmark = pytest.mark.django_db(transaction=True)


def test_the_command_stores_a_fault():
    out = StringIO()
    call_command("simulate_fault", "send", "throttled", "--times", "3", stdout=out)
    stored = SimulatedFault.objects.get()
    assert (stored.verb, stored.kind, stored.remaining) == ("send", "throttled", 3)
    assert "next 3 calls of send" in out.getvalue()


@pytest.mark.parametrize(
    "arguments", [("send", "duplicate_inbound"), ("receive", "throttled"), ("send", "throttled", "--times", "0")]
)
def test_an_impossible_fault_is_rejected(arguments):
    with pytest.raises(CommandError, match="expected"):
        call_command("simulate_fault", *arguments)
    assert not SimulatedFault.objects.exists()


def test_faults_are_rejected_with_a_real_carrier(settings):
    settings.CARRIER = "vonage"
    with pytest.raises(CommandError, match="vonage"):
        call_command("simulate_fault", "send", "throttled")


def test_admin_shows_neither_numbers_nor_texts(network, admin_client):
    network.send(text(text="the secret"))
    handset, sent = SimulatedHandset.objects.get(), SimulatedText.objects.get()
    for page in (
        "simulatedhandset/",
        f"simulatedhandset/{handset.pk}/change/",
        "simulatedtext/",
        f"simulatedtext/{sent.pk}/change/",
        "simulatednumber/",
        "simulatedfault/",
    ):
        answer = admin_client.get(f"/admin/simulator/{page}")
        assert answer.status_code == 200
        assert ALICE[1:] not in answer.text
        assert "the secret" not in answer.text


def test_admin_adds_and_deletes_faults(admin_client):
    url = "/admin/simulator/simulatedfault/"
    answer = admin_client.post(f"{url}add/", {"verb": "send", "kind": "refused", "remaining": "2"})
    assert answer.status_code == 302
    stored = SimulatedFault.objects.get()
    answer = admin_client.post(f"{url}add/", {"verb": "receive", "kind": "refused", "remaining": "2"})
    assert "cannot fail in this way" in answer.text
    admin_client.post(f"{url}{stored.pk}/delete/", {"post": "yes"})
    assert not SimulatedFault.objects.exists()
