"""The OpenAPI schema describes each type of event."""

import pytest

from conversations.api.event_types import DATA, example_of
from smsproxy.api.contract import make_schema
from smsproxy.events.types import EventType
from tests.support.feed import errors_of


def test_each_type_has_a_schema_of_its_own_which_says_what_it_means():
    schemas = make_schema()["components"]["schemas"]
    event = schemas["Event"]

    mapping = {type_: ref.rpartition("/")[2] for type_, ref in event["discriminator"]["mapping"].items()}

    assert set(mapping) == set(DATA) == set(EventType.values)
    assert [each["$ref"].rpartition("/")[2] for each in event["oneOf"]] == list(mapping.values())
    for type_, name in mapping.items():
        assert schemas[name]["properties"]["type"]["enum"] == [type_]
        assert schemas[name]["description"].lower().startswith(EventType(type_).label.lower())


@pytest.mark.parametrize("type_", EventType)
def test_each_type_has_an_example_that_is_valid(type_):
    assert errors_of(example_of(type_)) == []


@pytest.mark.parametrize("type_", EventType)
def test_data_that_is_not_described_is_found(type_):
    example = example_of(type_)

    assert errors_of({**example, "data": {**example["data"], "another": 1}}) != []
