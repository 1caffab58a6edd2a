import pytest

from tests.support.api_requests import URL, asked_for


@pytest.fixture
def create(api):
    """Return a function that posts a creation request and returns the response."""
    return lambda *numbers, **fields: api.post(URL, asked_for(*numbers, **fields))
