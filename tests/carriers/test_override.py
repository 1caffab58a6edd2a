"""An override puts a test's carrier in the place of the configured one."""

from threading import Thread

import pytest

from smsproxy.carriers import get_carrier, override
from tests.support.builders import ScriptedCarrier


def test_an_override_holds_in_every_thread_and_ends():
    configured, scripted = get_carrier(), ScriptedCarrier()
    found = []

    with override(scripted):
        thread = Thread(target=lambda: found.append(get_carrier()))
        thread.start()
        thread.join()

    assert found == [scripted]
    assert get_carrier() is configured


def test_the_innermost_override_wins_until_it_ends():
    outer, inner = ScriptedCarrier(), ScriptedCarrier()
    with override(outer):
        with override(inner):
            assert get_carrier() is inner
        assert get_carrier() is outer


def test_an_override_ends_when_the_test_fails():
    configured = get_carrier()

    with pytest.raises(ZeroDivisionError), override(ScriptedCarrier()):
        1 / 0  # noqa: B018

    assert get_carrier() is configured


def test_an_override_outlives_a_change_of_settings(settings):
    scripted = ScriptedCarrier()
    with override(scripted):
        settings.CARRIER = "simulator"
        assert get_carrier() is scripted
