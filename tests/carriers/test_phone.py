"""Phone numbers as people and programs write them."""

import pytest

from smsproxy.phone import NotE164, parse_e164


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
