"""The simulated network from outside: its faults, and what its phones show."""

from smsproxy.carriers.base import (
    OutgoingText,
)
from smsproxy.simulator.models import (
    Direction,
    SimulatedFault,
    SimulatedHandset,
)
from tests.support.builders import ALICE

OURS = "+447700900100"


def fault(verb, kind, times=1):
    return SimulatedFault.objects.create(verb=verb, kind=kind, remaining=times)


def text(**changes):
    return OutgoingText(**{"sender": OURS, "recipient": ALICE, "text": "Hello", "client_ref": "ref-1"} | changes)


def phone(number):
    return SimulatedHandset.objects.get_or_create_handset(number)


def arrived(number):
    return [each.text for each in phone(number).texts.filter(direction=Direction.TO_HANDSET)]
