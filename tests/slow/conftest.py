import pytest


def pytest_itemcollected(item):
    """Mark the tests of this directory as slow."""
    item.add_marker(pytest.mark.slow)
