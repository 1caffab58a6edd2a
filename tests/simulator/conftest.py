import pytest

from numbers.models import NumberState, VirtualNumber
from smsproxy.carriers.base import (
    Feature,
    NumberType,
)
from smsproxy.simulator.carrier import SimulatorCarrier
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.builders import ALICE, BOB, talk
from tests.support.demo_process import Demo
from tests.support.simulated import OURS


@pytest.fixture
def network():
    """Return a simulated carrier that rents us one number, with our webhook."""
    carrier = SimulatorCarrier()
    carrier.buy(OURS, "GB")
    carrier.configure(OURS, "GB", inbound_sms_url())
    return carrier


@pytest.fixture
def conversation(network):
    """Return a conversation between Alice and Bob, both through the one number."""
    VirtualNumber.of(OURS, "GB", NumberType.MOBILE, frozenset({Feature.SMS}), state=NumberState.ACTIVE).save()
    return talk(ALICE, BOB)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Start a demo with the phones of Rider and Driver."""
    with Demo(tmp_path_factory.mktemp("demo")) as running:
        yield running
