import pytest

from tests.support.api_requests import URL, asked_for


@pytest.fixture
def create(api):
    """create(…): the answer to a request with these people and options."""
    return lambda *numbers, **fields: api.post(URL, asked_for(*numbers, **fields))
