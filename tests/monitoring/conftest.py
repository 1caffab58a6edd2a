from functools import partial

import pytest

from tests.support.scraping import scrape_with


@pytest.fixture
def scrape(api):
    """Return a function that scrapes and returns each figure by name and labels."""
    return partial(scrape_with, api)
