"""One phone, one spelling: numbers of plans that were reformed, or that networks read in two ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsproxy.crypto import number_hash
from smsproxy.numbering_plans import RULES
from smsproxy.phone import canonical, canonical_prefixes, parse_e164

OTHER_SPELLINGS = {
    # Mexico: the mobile 1 of calls from abroad, until 2019.
    "+5215512345678": "+525512345678",
    "+5213312345678": "+523312345678",
    "+5219981234567": "+529981234567",
    # Argentina: the mobile 9 of calls from abroad, and the 15 of calls within the country.
    "+5491151234567": "+541151234567",
    "+5493874567890": "+543874567890",
    "+5492966412345": "+542966412345",
    "+54111551234567": "+541151234567",
    "+54387154567890": "+543874567890",
    "+54296615412345": "+542966412345",
    "+549111551234567": "+541151234567",
    # Brazil: the ninth digit of mobiles.
    "+551161234567": "+5511961234567",
    "+552171234567": "+5521971234567",
    "+554781234567": "+5547981234567",
    "+559296123456": "+5592996123456",
    # Ivory Coast, 2021: mobiles of Moov, MTN and Orange, landlines of the same.
    "+22501234567": "+2250101234567",
    "+22540234567": "+2250140234567",
    "+22573234567": "+2250173234567",
    "+22505234567": "+2250505234567",
    "+22546234567": "+2250546234567",
    "+22594234567": "+2250594234567",
    "+22507123456": "+2250707123456",
    "+22588123456": "+2250788123456",
    "+22559123456": "+2250759123456",
    "+22520812345": "+2252120812345",
    "+22520012345": "+2252520012345",
    "+22536012345": "+2252536012345",
    "+22520212345": "+2252720212345",
    "+22535912345": "+2252735912345",
    # Benin, 2024: all.
    "+22997123456": "+2290197123456",
    "+22961234567": "+2290161234567",
    "+22921312345": "+2290121312345",
}
UNCHANGED = [
    # Present spellings, and landlines.
    "+525512345678",
    "+541143215678",
    "+541151234567",
    "+542966412345",
    "+5511961234567",
    "+551131234567",
    "+551151234567",
    "+2250707123456",
    "+2252720212345",
    "+2290197123456",
    # No area of Mexico begins with 0 or 1; one digit too few or too many.
    "+5210512345678",
    "+5211512345678",
    "+52155123456",
    "+521551234567890",
    # Toll-free numbers, and lengths that no plan has.
    "+548001234567",
    "+5498001234567",
    "+549115123456",
    "+55800123456",
    "+558001234567",
    "+5501961234567",
    "+55119612345678",
    # Free and premium numbers, short ones, and the digits that no plan gives.
    "+22580123456",
    "+22590123456",
    "+22513123456",
    "+2250712345",
    "+22911234567",
    "+2299712345",
    # Calling codes that only begin alike, and countries with one spelling.
    "+5255",
    "+2240712345678",
    "+12125550101",
    "+447700900001",
    "+59899123456",
    "",
    "+",
    "5215512345678",
    "+521551234567a",
    "+5215512345678\n",
    "+٥٢١٥٥١٢٣٤٥٦٧٨",
    "Vonage",
]


@pytest.mark.parametrize(("spelling", "one"), OTHER_SPELLINGS.items())
def test_the_other_spelling_of_a_phone_becomes_the_canonical_one(spelling, one):
    assert canonical(spelling) == one
    assert canonical(one) == one
    assert number_hash(spelling) == number_hash(one)


@pytest.mark.parametrize("number", UNCHANGED)
def test_any_other_text_stays_as_it_is(number):
    assert canonical(number) == number


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+525512345678", "+525512345679"),
        ("+5491151234567", "+5491151234568"),
        ("+5511961234567", "+551161234568"),
        ("+551141234567", "+5511941234567"),
        ("+22507123456", "+2250507123456"),
        ("+22997123456", "+2290197123457"),
    ],
)
def test_two_phones_keep_two_hashes(one, other):
    assert number_hash(one) != number_hash(other)


@pytest.mark.parametrize(("spelling", "one"), OTHER_SPELLINGS.items())
@pytest.mark.parametrize("length", [6, 8, 10])
def test_the_canonical_prefixes_of_another_spelling_begin_the_canonical_number(spelling, one, length):
    instead = canonical_prefixes(spelling[:length])

    assert not instead or one.startswith(tuple(instead))
    assert canonical_prefixes(one[:length]) == []


NUMBERS = st.builds(
    "{}{}".format,
    st.sampled_from([*RULES, "+521", "+549", "+1", "+44", "+", ""]),
    st.text("0123456789", max_size=14),
)


@given(NUMBERS | st.text())
def test_a_canonical_number_is_its_own_canonical_number(text):
    once = canonical(text)

    assert canonical(once) == once
    assert once[:3] == text[:3]


@pytest.mark.parametrize("spelling", [*OTHER_SPELLINGS, *OTHER_SPELLINGS.values()])
def test_either_spelling_is_a_number_for_the_api(spelling):
    """The library itself rewrites 15 to 9, which is the same phone."""
    assert canonical(parse_e164(spelling)) == canonical(spelling)
