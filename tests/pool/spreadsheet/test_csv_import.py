"""CSV import: either every row is imported or none."""

from decimal import Decimal

import pytest

from numbers.models import NumberState, VirtualNumber
from numbers.spreadsheet import csv_file, import_numbers
from numbers.spreadsheet.edit import apply_edits
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.number_csv import NEW, confirm, exported, pool_of_every_kind, preview, take_in, upload
from tests.support.terminal import states


def test_a_new_number_is_imported_and_waits_to_be_configured(admin_client, admin_user, berlin):
    html = take_in(admin_client, f"number,pool,monthly_cost,type\n{NEW},berlin,1.25,mobile\n")

    assert "Imported: 1 new, 0 rented again, 0 changed, 0 unchanged." in html
    [row] = VirtualNumber.objects.all()
    assert (row.number, row.country, row.state, row.is_rented) == (NEW, "GB", NumberState.CONFIGURING, True)
    assert (row.pool, row.monthly_cost, row.type, row.can_sms) == (berlin, Decimal("1.25"), "mobile", True)
    event = row.events.get()
    assert (event.new_state, event.reason, event.actor) == ("configuring", "imported", admin_user.username)


def test_configure_numbers_configures_an_imported_number(admin_client, rentals, run):
    rentals.rent(NEW)
    take_in(admin_client, f"number\n{NEW}\n")

    assert run("configure_numbers")[0] == 0

    assert rentals.account[NEW] == inbound_sms_url()
    assert states() == {NEW: NumberState.ACTIVE}


def test_a_north_american_number_is_imported_with_its_area_and_region(admin_client, db):
    take_in(admin_client, "number,country\n+12125550100,us\n")

    row = VirtualNumber.objects.get()
    assert (row.country, row.area, row.region) == ("US", "1212", "New York")


def test_missing_columns_and_empty_cells_keep_the_stored_values(admin_client, berlin, number):
    VirtualNumber.objects.update(pool=berlin, is_reserved=True, rate=2.5)

    take_in(admin_client, f"number,reserved,rate\n{number},,5\n")

    number.refresh_from_db()
    assert (number.pool, number.is_reserved, number.rate) == (berlin, True, 5)


def test_editable_columns_are_set_and_an_event_records_old_and_new_values(admin_client, admin_user, berlin, number):
    content = f"number,pool,reserved,type,can_text,monthly_cost,rate\n{number},berlin,yes,landline,no,1.5,0.5\n"

    html = take_in(admin_client, content)

    assert "0 new, 0 rented again, 1 changed, 0 unchanged." in html
    number.refresh_from_db()
    assert (number.pool, number.is_reserved, number.type, number.can_sms) == (berlin, True, "landline", False)
    assert (number.monthly_cost, number.rate) == (Decimal("1.50"), 0.5)
    event = number.events.get()
    assert event.reason == (
        "imported: pool common → berlin, reserved no → yes, type mobile → landline, can_text yes → no, "
        "monthly_cost none → 1.5, rate none → 0.5"
    )
    assert (event.old_state, event.new_state, event.actor) == ("active", "active", admin_user.username)
    assert "0 changed, 1 unchanged" in upload(admin_client, content).content.decode()


def test_a_number_moved_to_the_common_pool_keeps_its_pairs(admin_client, berlin):
    add_numbers(2)
    talk(ALICE, BOB)
    VirtualNumber.objects.update(pool=berlin)

    take_in(admin_client, exported().replace(",berlin,", ",,"))

    for row in VirtualNumber.objects.all():
        assert (row.pool, row.live_pair_count, row.state) == (None, 1, "active")


def test_state_live_pairs_and_area_are_read_only(admin_client, number):
    content = f"number,state,live_pairs,area,rate\n{number},retired,7,1212,5\n"

    take_in(admin_client, content)

    number.refresh_from_db()
    assert (number.state, number.live_pair_count, number.area, number.rate) == ("active", 0, "", 5)


def test_a_retired_number_in_a_file_is_rented_again(admin_client, admin_user, berlin, number):
    VirtualNumber.objects.update(state=NumberState.RETIRED, is_rented=False, webhook_url=inbound_sms_url())

    html = take_in(admin_client, f"number,pool\n{number},berlin\n")

    assert "0 new, 1 rented again, 0 changed" in html
    number.refresh_from_db()
    assert (number.state, number.is_rented, number.pool) == (NumberState.CONFIGURING, True, berlin)
    assert number.webhook_url == ""
    event = number.events.get()
    assert (event.old_state, event.new_state, event.actor) == ("retired", "configuring", admin_user.username)
    assert event.reason == "imported: pool common → berlin"


def test_a_retired_number_that_is_rented_stays_retired(admin_client, number):
    VirtualNumber.objects.update(state=NumberState.RETIRED)

    take_in(admin_client, f"number,rate\n{number},5\n")

    number.refresh_from_db()
    assert (number.state, number.rate) == (NumberState.RETIRED, 5)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("number\n07700900600\n", "Row 2, number: expected a number in E.164 form"),
        ("number\n4.477E+11\n", "Row 2, number: expected a number in E.164 form"),
        ("number\n4.477E+11\n", "found “4.477E+11”"),
        ("number\n\x00\n", "Row 2, number: expected a number"),
        (
            "number\n+525512345678\n+5215512345678\n",
            "Row 3, number: expected each number once, found that of row 2 again",
        ),
        (f"number\n{NEW}\n{NEW[1:]}\n", "Row 3, number: expected each number once, found that of row 2 again"),
        (f"number,country\n{NEW},FR\n", "Row 2, country: expected two letters, such as GB, of a country whose"),
        (f"number,country\n{NEW},Britain\n", "found “Britain”"),
        ("number\n+881612345678\n", "found nothing, and the number itself does not tell"),
        ("number,country\n+447700900500,IM\n", "Row 2, country: expected GB, which cannot change"),
        (f"number,pool\n{NEW},rome\n", "Row 2, pool: expected berlin, or nothing for the common pool"),
        (f"number,pool\n{NEW},Berlin\n", "found “Berlin”"),
        (f"number,type\n{NEW},fax\n", "Row 2, type: expected one of mobile, landline"),
        (f"number,reserved\n{NEW},maybe\n", "Row 2, reserved: expected yes or no"),
        (f"number,can_text\n{NEW},2\n", "Row 2, can_text: expected yes or no"),
        (f"number,monthly_cost\n{NEW},1.255\n", "Row 2, monthly_cost: expected EUR a month, such as 1.25"),
        (f"number,monthly_cost\n{NEW},-1\n", "found “-1”"),
        (f"number,monthly_cost\n{NEW},nan\n", "found “nan”"),
        (f"number,monthly_cost\n{NEW},1e5\n", "found “1e5”"),
        (f"number,rate\n{NEW},0\n", "Row 2, rate: expected segments a second, 0.01 or more"),
        (f"number,rate\n{NEW},inf\n", "found “inf”"),
        (f"number,rate\n{NEW},nan\n", "found “nan”"),
        (f"number,rented\n{NEW},no\n", "Row 2, rented: expected yes, or nothing: a number that is not rented"),
        (f"number,rented\n{NEW},x\n", "Row 2, rented: expected yes or no"),
        ("number,rented\n+447700900500,no\n", "only manage.py release_numbers gives a number back"),
    ],
)
def test_an_invalid_row_is_rejected_with_its_reason_and_nothing_is_imported(
    admin_client, berlin, number, content, expected
):
    right = f"{content}+447700900601{',' * (content.splitlines()[0].count(','))}\n"

    answer = upload(admin_client, right)

    assert answer.status_code == 200
    assert any(expected in fault for fault in answer.context["result"].faults)
    assert expected in answer.content.decode()
    assert "confirm_form" not in answer.context
    assert states() == {"+447700900500": "active"}


def test_a_number_that_is_being_bought_is_rejected(number):
    VirtualNumber.objects.update(state=NumberState.ORDERED, is_rented=False)

    [fault] = preview(f"number\n{number}\n").faults

    assert fault == f"Row 2, number: {number} is being bought: run manage.py sync_numbers to see whether we own it"


@pytest.mark.parametrize("was_ours", [False, True])
def test_the_number_of_a_participant_is_neither_imported_nor_shown(admin_client, was_ours):
    add_numbers(2)
    talk(ALICE, BOB)
    if was_ours:
        VirtualNumber.of(ALICE, "GB", None, frozenset(), state=NumberState.RETIRED).save()

    html = upload(admin_client, f"number,rate\n{ALICE[1:]},5\n").content.decode()

    assert "Row 2, number: +44 ••• 01 belongs to a person" in html
    assert ALICE[1:] not in html
    assert not VirtualNumber.objects.filter(number=ALICE, is_rented=True).exists()


def test_a_conflict_in_the_last_row_rolls_back_the_whole_import(admin_client, number, monkeypatch):
    answer = upload(admin_client, f"number,rate\n{number},5\n{NEW},\n")

    def import_concurrently(*args, **kwargs):
        monkeypatch.undo()
        VirtualNumber.of(NEW, "GB", None, frozenset(), state=NumberState.CONFIGURING).save()
        return apply_edits(*args, **kwargs)

    monkeypatch.setattr(import_numbers, "apply_edits", import_concurrently)
    html = confirm(admin_client, answer).content.decode()

    assert "Nothing was imported. The pool is changing at this moment." in html
    number.refresh_from_db()
    assert number.rate is None
    assert not number.events.exists()


def test_an_internal_error_is_not_reported_as_a_fault_of_the_file(number, monkeypatch):
    monkeypatch.setattr(import_numbers, "_country", lambda *args: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        preview(f"number\n{NEW}\n")


def test_importing_the_export_of_the_command_changes_nothing(run, berlin, file):
    pool_of_every_kind(berlin)
    code, text = run("export_numbers")

    assert code == 0
    assert run("import_numbers", file(text)) == (0, "0 new, 0 rented again, 0 changed, 8 unchanged.\n")


def test_the_command_shows_each_change_and_imports_after_a_yes(run, berlin, number, file):
    path = file(f"number,pool\n{number},berlin\n{NEW},\n")

    code, output = run("import_numbers", path, types="y\n")

    assert code == 0
    assert output.splitlines() == [
        f"{number} pool common → berlin",
        f"{NEW} new: country GB, pool common, reserved no, can_text yes",
        "1 new, 0 rented again, 1 changed, 0 unchanged.",
        "Import this? [y/N] Imported. 1 not configured yet: run manage.py configure_numbers.",
    ]
    number.refresh_from_db()
    assert number.pool == berlin
    assert number.events.get().reason == "imported: pool common → berlin"
    assert states()[NEW] == NumberState.CONFIGURING


@pytest.mark.parametrize(
    ("options", "types", "code", "expected"),
    [
        (["--dry-run"], None, 0, "Nothing was imported: --dry-run."),
        ([], "n\n", 2, "Nothing was done: the answer was not yes."),
        ([], None, 2, "no terminal to ask on"),
    ],
)
def test_the_command_imports_nothing_without_a_yes(run, number, file, options, types, code, expected):
    found, output = run("import_numbers", file(f"number,rate\n{number},5\n"), *options, types=types)

    assert found == code
    assert expected in output
    number.refresh_from_db()
    assert number.rate is None


def test_the_yes_option_imports_without_a_question(run, number, file):
    assert run("import_numbers", file(f"number,rate\n{number},5\n"), "--yes")[0] == 0

    number.refresh_from_db()
    assert number.rate == 5


def test_the_command_imports_nothing_if_the_pool_changed_since_the_preview(run, number, file, monkeypatch):
    path = file(f"number,rate\n{number},5\n")

    def confirm_after_a_concurrent_change(*args, **kwargs):
        VirtualNumber.objects.update(rate=2.5)

    monkeypatch.setattr("numbers.management.pool_command.PoolCommand.confirm", confirm_after_a_concurrent_change)
    code, output = run("import_numbers", path)

    assert code == 2
    assert "The pool has changed since the preview." in output
    number.refresh_from_db()
    assert number.rate == 2.5


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("number,rate\n+447700900500,x\n", "Row 2, rate: expected segments a second"),
        ("pool\nberlin\n", "Nothing was imported. Expected a column “number”"),
        (f"number\n{'1' * csv_file.MAX_BYTES}\n", "Nothing was imported. Expected at most 1,000,000 bytes"),
    ],
)
def test_the_command_rejects_an_invalid_file_with_the_reason(run, number, file, content, expected):
    code, output = run("import_numbers", file(content), "--yes")

    assert code == 2
    assert expected in output


def test_the_command_reports_a_missing_file(run, db):
    code, output = run("import_numbers", "/no/such.csv")

    assert code == 2
    assert "Cannot read /no/such.csv: No such file or directory." in output
