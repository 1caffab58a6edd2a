"""The health check runs as a periodic job, and takes a failing number out of service."""

import pytest

from conversations.delivery.relay import Relay
from conversations.models import OutboundMessage
from conversations.worker import periodic_jobs
from numbers.models import NumberState, VirtualNumber
from smsproxy.carriers.base import Feature, NumberType
from smsproxy.simulator.carrier import SimulatorCarrier
from smsproxy.simulator.models import FaultKind, SimulatedFault, Verb
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, members, proxies, talk
from tests.support.number_health import quarantined
from tests.support.outbox import queue


def test_the_health_check_is_a_periodic_job():
    assert "quarantine_outliers" in [each.__name__ for each in periodic_jobs.JOBS]


@pytest.mark.django_db(transaction=True)
def test_a_number_whose_messages_the_network_loses_gets_no_new_conversations(settings):
    """Run on the simulated network, which delivers receipts through the signed webhook."""
    settings.HEALTH_MIN_RECEIPTS = 6
    carrier = SimulatorCarrier()
    numbers = []
    for index in range(3):
        carrier.buy(f"+4477009001{index:02}", "GB")
        carrier.configure(f"+4477009001{index:02}", "GB", inbound_sms_url())
        number = VirtualNumber.of(
            f"+4477009001{index:02}", "GB", NumberType.MOBILE, frozenset({Feature.SMS}), state=NumberState.ACTIVE
        )
        number.save()
        numbers.append(number)
    bad, *good = numbers
    people = members(talk(ALICE, BOB))

    for sender in numbers:
        if sender == bad:
            SimulatedFault.objects.create(verb=Verb.SEND, kind=FaultKind.UNDELIVERED, remaining=12)
        texts = [text for person in people for text in queue(person, *"123456")]
        OutboundMessage.objects.filter(pk__in=[each.pk for each in texts]).update(sender=sender)
        Relay().send_due()

    assert quarantined() == [bad]
    assert bad.events.first().reason.startswith("on network 23410, 12 of 12 SMS")
    assert set(proxies(talk(CHARLIE, STRANGER))) <= {number.number for number in good}
