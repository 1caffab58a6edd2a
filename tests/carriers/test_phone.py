"""Phone numbers as people and programs write them."""

import pytest

from smsproxy.phone import NotE164, parse_e164
from smsproxy.phone_spellings import holds_phone_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+447700900001", "+447700900001"),
        (" +44 7700 900001 ", "+447700900001"),
        ("+44 (7700) 900-001", "+447700900001"),
        ("+1.212.555.0101", "+12125550101"),
        ("+4915123456789", "+4915123456789"),
    ],
)
def test_an_international_number_is_accepted_with_any_spacing(text, number):
    assert parse_e164(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "447700900001",
        "+1800FLOWERS",
        "+447700900001\n",
        "+447700900001\x00",
        "+447700900001\u200b",
        "+447700900001;ext=5",
        "+447700900001x5",
        "tel:+447700900001",
        "\uff0b447700900001",
        "+٤٤٧٧٠٠٩٠٠٠٠١",
        "+44７７00900001",
        "+15550123",
        "+49151234567890123",
        "+44",
        "+" + "4" * 100_000,
        "+44" + " " * 100_000 + "7700900001",
    ],
)
def test_a_text_that_is_not_an_international_number_is_rejected(text):
    with pytest.raises(NotE164):
        parse_e164(text)


@pytest.mark.parametrize(
    "text",
    [
        "call 07700 900001",
        "0044 7700 900077",
        "7700-900-077",
        "07700.900.077",
        "(07700) 900001",
        "+44 / 7700 / 900077",
        "+44 (0) 7700 900077",
        "tel:+447700900001",
        "id447700900001",
        "it was 07 70 09 00 07 7",
        "07700_900077",
        "07700’900’077",
        "07700\u2011900\u2013077",
        "07700\u00a0900077",
        "0\u200b7700900077",
        "０７７００ ９０００７７",
        "٠٧٧٠٠٩٠٠٠٧٧",
        "＋４４ ７７００９",
        "+3725551",
        "5551 2345",
        "on 2026-11-29 07700 900001 rang",
        "at 10:42 07700 900001 rang",
        "(030) 2026-1234",
        "ref 12345678",
        "tickets 4711 4712",
    ],
)
def test_a_phone_number_is_seen_in_a_text_however_people_write_it(text):
    assert holds_phone_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ticket 4711",
        "tickets 4711, 4712 and 4713",
        "4711\n4712\n4713",
        "order 2026-11-29",
        "2026-11-29 10:42",
        "2026-11-29T10:42:07 to 2026-11-30T11:15:00",
        "29.11.2026 10:42",
        "29/11/2026, 10:42",
        "29.11.26 10:42",
        "INC-2026-001234",
        "case ab/2026/1234",
        "EUR 1,250,000.00",
        "12.50 EUR in 3 texts",
        "1 234.50",
        "ticket 1234567",
        "+1212",
        "ab123456-7890-4a52-b123-447700900001",
        "0A0000000123ABCD",
        "threatens Bob",
    ],
)
def test_other_digits_in_a_text_are_no_phone_number(text):
    assert not holds_phone_number(text)
