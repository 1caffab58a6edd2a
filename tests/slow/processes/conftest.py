import pytest


def pytest_itemcollected(item):
    """Run the tests of this directory one after another, even with several test processes.

    Each of these tests starts enough processes to keep a machine busy.
    """
    item.add_marker(pytest.mark.xdist_group("processes"))
