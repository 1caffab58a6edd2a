"""The pool as CSV: the exported columns, and the checks of an uploaded file."""

import csv
import io

import pytest

from numbers.models import Pool, VirtualNumber
from tests.support.builders import add_numbers
from tests.support.number_csv import (
    EXPORT,
    NEW,
    confirm,
    exported,
    pool_of_every_kind,
    preview,
    table,
    upload,
)


def test_importing_an_export_changes_nothing(berlin):
    add_numbers(2, "US", start="+121255501")
    pool_of_every_kind(berlin)

    found = preview(exported())

    assert found.faults == []
    assert found.summary == "0 new, 0 rented again, 0 changed, 10 unchanged"


def test_the_export_has_every_column_of_a_number(berlin, number):
    VirtualNumber.objects.update(
        pool=berlin, monthly_cost="1.25", live_pair_count=3, last_assigned_at="2026-11-24T12:00:00Z"
    )

    [row] = table(exported())

    assert row.pop("created_at")
    assert row == {
        "number": "+447700900500",
        "country": "GB",
        "area": "",
        "region": "",
        "state": "active",
        "rented": "yes",
        "pool": "berlin",
        "reserved": "no",
        "type": "mobile",
        "can_text": "yes",
        "monthly_cost": "1.25",
        "rate": "",
        "live_pairs": "3",
        "last_assigned_at": "2026-11-24T12:00:00+00:00",
    }


@pytest.mark.parametrize("formula", ["=1+1", "+1+cmd", "-1+1", "@SUM(1)", "\t=1", "'=1"])
def test_no_cell_is_a_formula_and_each_survives_the_round_trip(db, number, formula):
    pool = Pool.objects.create(name=formula)
    VirtualNumber.objects.update(region=formula, pool=pool)

    text = exported()

    for cell in csv.reader(io.StringIO(text)):
        for each in cell:
            assert each[:1] not in ("=", "+", "-", "@", "\t") or each == "+447700900500"
    if formula == formula.strip():
        assert preview(text).summary == "0 new, 0 rented again, 0 changed, 1 unchanged"


def test_an_export_has_the_numbers_that_the_list_shows(admin_client, number):
    add_numbers(1, "FR", start="+337009005")

    answer = admin_client.get(EXPORT, {"country": "GB"})

    assert answer["Content-Type"] == "text/csv"
    assert answer["Content-Disposition"].startswith('attachment; filename="numbers-20')
    assert [row["number"] for row in table(answer.content.decode())] == ["+447700900500"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("query", ["state__exact=%00", "nonsense=1", "created_at__year=99999", "pool__id__exact=x"])
def test_an_invalid_export_query_is_not_a_500(admin_client, query):
    assert admin_client.get(f"{EXPORT}?{query}", follow=True).status_code == 200


def test_an_export_of_any_length_takes_one_query(berlin, django_assert_num_queries):
    add_numbers(40)
    VirtualNumber.objects.update(pool=berlin)

    with django_assert_num_queries(1):
        exported()


@pytest.mark.parametrize("written", [NEW, NEW[1:], f"'{NEW}", f" {NEW} ", "+44 7700 900-600"])
def test_a_number_is_read_in_every_form_that_spreadsheets_write(db, written):
    [entry] = preview(f"number\n{written}\n").entries

    assert str(entry) == f"{NEW} new: country GB, pool common, reserved no, can_text yes"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 300, "Expected a CSV file in UTF-8"),
        ("number,pool\n+447700900600,Köln\n".encode("latin-1"), "Expected a CSV file in UTF-8"),
        ("number\n+447700900600\n".encode("utf-16"), "Expected a CSV file in UTF-8"),
        (b"", "The submitted file is empty"),
        (b"\n\n", "Expected a row of headings and rows of numbers below it"),
        (b"number\n", "Expected a row of headings and rows of numbers below it"),
        (b"pool\nberlin\n", "Expected a column “number”"),
        (b"number;pool\n+447700900600;berlin\n", "found “number;pool”"),
        (b"number,pol\n+447700900600,berlin\n", "Found “pol”"),
        (b"number,rate,rate\n+447700900600,1,2\n", "found “rate” more than once"),
        (b"number\n+447700900600,1\n", "Row 2: expected 1 cells, as in the first row, found 2 cells"),
        (b"number\n+447700900600\n\n+447700900601,1\n", "Row 4: expected 1 cells, as in the first row, found 2 cells"),
        (b'number\n"+447700900600\n', "found one that cannot be read"),
        (b"number\n" + b"1\n" * 100_000, "Expected at most 5,000 rows, found 100,000"),
        (b"number\n" + b"+447700900600\n" * 72_000, "Expected at most 1,000,000 bytes"),
        (b"number\n" + b"+447700900600\n" * 200_000, "Expected a file of up to 1,000,000 bytes"),
    ],
)
def test_an_unreadable_file_is_rejected_with_the_reason(admin_client, db, content, expected):
    answer = upload(admin_client, content)

    assert answer.status_code == 200
    assert expected in str(answer.context["form"].errors)
    assert not VirtualNumber.objects.exists()


def test_a_file_that_does_not_fit_into_the_form_is_rejected(admin_client, db, monkeypatch):
    monkeypatch.setattr("numbers.admin.csv_import.MAX_CARRIED", 10)

    answer = upload(admin_client, f"number\n{NEW}\n")

    assert "manage.py import_numbers" in str(answer.context["form"].errors)


@pytest.mark.slow
def test_the_largest_import_fits_into_the_confirmation_form(admin_client, berlin):
    rows = "".join(f"+4477{index * 7919 % 10**8:08},berlin,{index % 100}.{index % 99:02}\n" for index in range(5_000))
    answer = upload(admin_client, f"number,pool,monthly_cost\n{rows}")

    html = confirm(admin_client, answer).content.decode()

    assert "Imported: 5000 new" in html


@pytest.mark.parametrize("rate", [1 / 3, 0.1 + 0.2, 10.0, 1e22])
def test_an_export_has_the_exact_rate(db, rate):
    [number] = add_numbers(1)
    VirtualNumber.objects.filter(pk=number.pk).update(rate=rate)
    assert preview(exported()).entries == []
