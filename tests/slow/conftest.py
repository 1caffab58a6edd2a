import pytest


def pytest_itemcollected(item):
    """Mark as slow what is in this directory."""
    item.add_marker(pytest.mark.slow)
