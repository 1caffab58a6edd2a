"""The phone network: `get_carrier()` returns the carrier that the setting CARRIER names.

To add a carrier, implement the interface in base.py, and add it to CARRIERS here and to CARRIER in settings.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from .base import Carrier

CARRIERS = {
    "simulator": "smsproxy.simulator.carrier.SimulatorCarrier",
    "vonage": "smsproxy.carriers.vonage.carrier.VonageCarrier",
}

_overrides: list[Carrier] = []


def get_carrier() -> Carrier:
    """Return the carrier of this process. Threads share it."""
    return _overrides[-1] if _overrides else _configured()


@contextmanager
def override(carrier: Carrier) -> Iterator[None]:
    """Make `get_carrier()` return this carrier in all threads, for tests. The innermost of nested ones wins."""
    _overrides.append(carrier)
    try:
        yield
    finally:
        _overrides.pop()


@cache
def _configured() -> Carrier:
    carrier: Carrier = import_string(CARRIERS[settings.CARRIER])()
    return carrier


setting_changed.connect(lambda **kwargs: _configured.cache_clear(), weak=False)
