import pytest


def pytest_itemcollected(item):
    """Run what is in this directory one after the other, also where there are several test processes.

    Each of these tests starts processes of its own, enough for any machine.
    """
    item.add_marker(pytest.mark.xdist_group("processes"))
