"""The switches of the phones page that make the network fail, in plain words. Each is a fault of the simulator."""

from typing import Any, NamedTuple

from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from smsproxy.simulator.models import FaultKind, SimulatedFault, Verb


class Switch(NamedTuple):
    """One way to fail. met: what the network did to a text that met the fault, "" if the text's state says it."""

    name: str
    verb: Verb
    kind: FaultKind
    label: Any
    effect: Any
    met: Any = ""


SWITCHES = {
    switch.name: switch
    for switch in (
        Switch(
            "delay",
            Verb.SEND,
            FaultKind.DELAYED,
            _("Delay"),
            _("The text and its receipt arrive six seconds late."),
            _("The network delays it by six seconds."),
        ),
        Switch(
            "drop",
            Verb.SEND,
            FaultKind.UNDELIVERED,
            _("Drop"),
            _("The network loses the text and says so. The proxy tells its writer."),
        ),
        Switch(
            "duplicate",
            Verb.RECEIVE,
            FaultKind.DUPLICATE_INBOUND,
            _("Duplicate"),
            _("The network delivers the text to the proxy twice. It is passed on once."),
            _("The network delivers it twice. The proxy stores it once."),
        ),
        Switch(
            "split",
            Verb.RECEIVE,
            FaultKind.LATE_PART,
            _("Split"),
            _("The text comes in parts, the first one last and six seconds late. It is passed on as one."),
            _("The network cuts it into parts and delivers the first one last, six seconds late."),
        ),
        Switch(
            "throttle",
            Verb.SEND,
            FaultKind.THROTTLED,
            _("Throttle"),
            _("The carrier refuses for a moment: too fast. The proxy waits and tries again."),
        ),
    )
}
MET = {switch.kind: switch.met for switch in SWITCHES.values() if switch.met}
MAX_LEFT = 20  # uses that wait for one switch


def uses_left() -> dict[str, int]:
    """Return how many uses of each switch are left, by its name."""
    rows = SimulatedFault.objects.filter(remaining__gt=0).values_list("verb", "kind").annotate(left=Sum("remaining"))
    left = {(verb, kind): count for verb, kind, count in rows.order_by()}
    return {switch.name: left.get((switch.verb, switch.kind), 0) for switch in SWITCHES.values()}


def other_faults() -> int:
    """Return how many uses of faults are left that have no switch here, such as those of `simulate_fault`."""
    total = SimulatedFault.objects.filter(remaining__gt=0).aggregate(left=Sum("remaining"))["left"] or 0
    return int(total) - sum(uses_left().values())


def use_once_more(switch: Switch) -> bool:
    """Let the next use fail, after those that wait already. Return False if too many wait."""
    if uses_left()[switch.name] >= MAX_LEFT:
        return False
    SimulatedFault.objects.create(verb=switch.verb, kind=switch.kind, remaining=1)
    return True


def repair_network() -> None:
    """End every fault. Those that are used up go, too."""
    SimulatedFault.objects.all().delete()
