import pytest


@pytest.fixture
def every_step(pytestconfig):
    """Kill at every step, not at every fifth?"""
    return pytestconfig.getoption("every_step")
