"""Values that people type are parsed in one place, and errors say what was expected and what was found."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from smsproxy import values
from smsproxy.arguments import argument
from smsproxy.carriers.base import NumberType
from smsproxy.text_table import line, table


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (values.country, " gb ", "GB"),
        (values.euros, "1.50", Decimal("1.50")),
        (values.euros, "0", Decimal(0)),
        (values.rate, "0.01", 0.01),
        (values.pool_name, "berlin-2_b", "berlin-2_b"),
        (values.virtual_number, "+44 7700 900500", "+447700900500"),
        (values.digits, "+7700", "7700"),
        (values.digits, "", ""),
        (lambda text: values.whole_number(text, least=1, most=5), "5", 5),
        (lambda text: values.whole_number(text, least=0), "0", 0),
        (lambda text: values.one_of(NumberType, text), "mobile", NumberType("mobile")),
        (values.duration, "12h", timedelta(hours=12)),
        (values.duration, "7d", timedelta(days=7)),
        (values.duration, "0d", timedelta(0)),
        (values.day, "2027-03-31", datetime(2027, 3, 31, tzinfo=UTC)),
    ],
)
def test_a_good_value_is_parsed(parse, text, value):
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "explanation"),
    [
        (values.country, "UK", "expected the two letters of a country, such as GB, found 'UK'"),
        (values.euros, "1.555", "expected an amount in EUR"),
        (values.euros, "1000000", "expected an amount in EUR"),
        (values.euros, "1e3", "expected an amount in EUR"),
        (values.euros, "-1", "expected an amount in EUR"),
        (values.euros, "١", "expected an amount in EUR"),
        (values.rate, "fast", "expected segments a second, 0.01 or more, found 'fast'"),
        (values.rate, "0", "expected segments a second"),
        (values.rate, "inf", "expected segments a second"),
        (values.rate, "nan", "expected segments a second"),
        (values.pool_name, "Köln", "expected the name of a pool"),
        (values.pool_name, "a\n", "expected the name of a pool"),
        (values.pool_name, "x" * 41, "expected the name of a pool"),
        (values.virtual_number, "07700900500", "expected a number in E.164 form"),
        (values.digits, "x", "expected at most 15 digits"),
        (values.duration, "7", "expected a time in hours, days or weeks, such as 12h, 7d or 4w, found '7'"),
        (values.duration, "-7d", "expected a time in hours"),
        (values.duration, "٧d", "expected a time in hours"),
        (values.duration, "100000d", "expected a time in hours"),
        (values.day, "31.03.2027", "expected a date such as 2027-03-31, found '31.03.2027'"),
        (values.day, "2027-02-30", "expected a date such as 2027-03-31"),
        (values.day, "20270331", "expected a date such as 2027-03-31"),
        (
            lambda text: values.whole_number(text, least=1, most=5),
            "6",
            "expected a whole number from 1 to 5, found '6'",
        ),
        (lambda text: values.whole_number(text, least=1, unit="days"), "0", "a whole number of days, 1 or more"),
        (lambda text: values.whole_number(text, least=1), "٣", "expected a whole number, 1 or more"),
        (lambda text: values.whole_number(text, least=1), "9" * 5000, "expected a whole number, 1 or more"),
        (lambda text: values.one_of(NumberType, text), "fax", "expected one of mobile"),
    ],
)
def test_the_error_of_a_wrong_value_says_what_was_expected(parse, text, explanation):
    with pytest.raises(values.InvalidValue) as error:
        parse(text)

    assert explanation in str(error.value)
    assert len(str(error.value)) < 250
    with pytest.raises(ArgumentTypeError) as shown:
        argument(parse)(text)
    assert str(shown.value) == str(error.value)
    assert values.sentence(error.value).startswith("Expected ")


def test_a_table_is_as_wide_as_its_cells():
    rows = [["country", "numbers"], ["GB", "12"], ["no country", "3"]]

    assert list(table(rows)) == ["  country      numbers", "  GB           12", "  no country   3"]
    assert list(table(rows, numeric=True, gap=2)) == [
        "  country     numbers",
        "  GB               12",
        "  no country        3",
    ]


def test_a_line_keeps_a_space_between_cells():
    assert line(["GB", "mobile", "EUR 1.50"], widths=[5, 4]) == "GB   mobile EUR 1.50"
