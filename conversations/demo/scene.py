"""The scene of the demo: four virtual numbers, a rider, a driver, and their conversation. Made once, then kept."""

from collections.abc import Iterator

from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.request import ConversationSpec, ParticipantSpec
from conversations.models import Conversation
from numbers.models import VirtualNumber
from numbers.provisioning.order import OrderSpec, find_or_open_order, fulfil, order_for
from numbers.provisioning.step import ProvisioningStep
from smsproxy.simulator.models import SimulatedHandset

POOL = 4
COUNTRY = "GB"
# Numbers that the regulator keeps for fiction.
RIDER = ParticipantSpec(number="+447700900001", label="Rider")
DRIVER = ParticipantSpec(number="+447700900002", label="Driver")


def fill_pool() -> Iterator[ProvisioningStep]:
    """Rent what the pool lacks. Killed in between, the next start goes on with the same order."""
    missing = POOL - VirtualNumber.objects.active().count()
    if missing <= 0:
        return
    begun = order_for(OrderSpec(country=COUNTRY, count=POOL))
    yield from fulfil(begun if begun.pk else find_or_open_order(OrderSpec(country=COUNTRY, count=missing)))


def ensure_conversation() -> Conversation:
    """The conversation of the demo: one that is open, or a new one. Raises CannotCreate."""
    for person in (RIDER, DRIVER):
        # Before they are texted, so that theirs are the first two phones.
        ensure_handset(person.number, person.label)
    return Conversation.objects.open_now().order_by("pk").first() or create_conversation(
        [RIDER, DRIVER], ConversationSpec(reference="ride-42")
    )


def ensure_handset(number: str, name: str) -> SimulatedHandset:
    handset = SimulatedHandset.objects.get_or_create_handset(number)
    if not handset.name:
        handset.name = name
        handset.save(update_fields=["name"])
    return handset
