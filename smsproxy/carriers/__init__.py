"""The phone network: `get_carrier()` is the one that the setting CARRIER names."""

from functools import cache

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from .base import Carrier

CARRIERS = {
    "simulator": "smsproxy.simulator.carrier.SimulatorCarrier",
    "vonage": "smsproxy.carriers.vonage.carrier.VonageCarrier",
}


@cache
def get_carrier() -> Carrier:
    """One carrier a process; it is safe to share between threads."""
    carrier: Carrier = import_string(CARRIERS[settings.CARRIER])()
    return carrier


setting_changed.connect(lambda **kwargs: get_carrier.cache_clear(), weak=False)
