import pytest


@pytest.fixture
def every_step(pytestconfig):
    """Return whether to kill at every step, instead of every fifth."""
    return pytestconfig.getoption("every_step")
