"""The states and provinces of North America, compared with the data that they come from."""

import phonenumbers
import pytest

from smsproxy.nanp import _OF_AREA, region_of
from smsproxy.phone import area_of

# Corrections: the library abbreviates these where it names a city as well, and misspells one.
SPELT = {
    **{"AL": "Alabama", "CA": "California", "FL": "Florida", "IL": "Illinois", "NE": "Nebraska", "NY": "New York"},
    **{"ON": "Ontario", "PA": "Pennsylvania", "QC": "Quebec", "TX": "Texas", "UT": "Utah"},
    "British Colombia": "British Columbia",
}


def library_regions():
    # The geocoder takes about 90 MB, so only this test imports it.
    from phonenumbers import geocoder

    found = {}
    for code in map(str, range(200, 1000)):
        number = phonenumbers.parse(f"+1{code}5550101")
        named = geocoder.description_for_valid_number(number, "en").split(", ")[-1]
        if phonenumbers.region_code_for_number(number) in ("US", "CA") and named not in ("", "Canada"):
            found[code] = SPELT.get(named, named)
    return found


def test_each_area_code_maps_to_the_region_that_the_library_names():
    assert library_regions() == _OF_AREA


@pytest.mark.parametrize(
    ("number", "region"),
    [
        ("+12125550101", "New York"),
        ("+13155550101", "New York"),
        ("+14165550101", "Ontario"),
        ("+18765550101", ""),  # Jamaica
        ("+442079460000", ""),
        ("+447700900001", ""),
    ],
)
def test_only_numbers_of_the_united_states_and_canada_have_a_region(number, region):
    assert region_of(area_of(number)) == region
