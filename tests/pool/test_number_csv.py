"""The pool as CSV: out, and in again with a preview of what changes. Nothing is imported unless all of it is."""

import csv
import io
import tempfile
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from selenium.webdriver.common.by import By

from numbers.models import NumberState, Pool, VirtualNumber
from numbers.spreadsheet import csv_file, import_numbers
from numbers.spreadsheet.edit import amend
from numbers.spreadsheet.import_numbers import NumberCSV, NumberResource
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.browser import chromium, soon
from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.terminal import states

NEW = "+447700900600"
IMPORT, CONFIRM, EXPORT = (
    reverse(f"admin:numbers_virtualnumber_{name}") for name in ("import", "process_import", "export")
)


@pytest.fixture
def berlin(db):
    return Pool.objects.create(name="berlin")


@pytest.fixture
def number(db):
    """An active number of the common pool, +447700900500."""
    return add_numbers(1)[0]


@pytest.fixture
def staff(client, db):
    """Logs in a member of staff with these permissions."""

    def log_in(*permissions):
        user = User.objects.create_user("sam", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return log_in


def upload(client, content):
    data = content if isinstance(content, bytes) else content.encode()
    return client.post(IMPORT, {"import_file": SimpleUploadedFile("n.csv", data), "format": "0", "resource": "0"})


def preview(content):
    """What the file would do, or what is wrong with it."""
    return NumberResource().import_data(NumberCSV().create_dataset(content.encode()), dry_run=True)


def confirm(client, answer):
    """Agree to the preview on this page."""
    return client.post(CONFIRM, answer.context["confirm_form"].initial, follow=True)


def take_in(client, content):
    """Upload, and agree."""
    return confirm(client, upload(client, content)).content.decode()


def exported():
    return NumberCSV().export_data(NumberResource().export())


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


# Export ---------------------------------------------------------------------------------------------------------------


def pool_of_every_kind(berlin):
    add_numbers(2, start="+4477009008")
    talk(ALICE, BOB)
    rows = add_numbers(6)
    given = [
        {"pool": berlin, "monthly_cost": Decimal("1.50"), "rate": 0.5},
        {"is_reserved": True, "type": "", "can_sms": False},
        {"state": NumberState.ORDERED, "is_rented": False},
        {"state": NumberState.RETIRED, "is_rented": False},
        {"state": NumberState.QUARANTINED, "is_rented": False, "rate": 10.0},
        {"state": NumberState.RETIRED, "monthly_cost": Decimal(0)},
    ]
    for row, fields in zip(rows, given, strict=True):
        VirtualNumber.objects.filter(pk=row.pk).update(**fields)


def test_what_is_exported_changes_nothing_when_it_is_imported(berlin):
    add_numbers(2, "US", start="+121255501")
    pool_of_every_kind(berlin)

    found = preview(exported())

    assert found.faults == []
    assert found.summary == "0 new, 0 rented again, 0 changed, 10 as they are"


def test_the_export_says_what_an_operator_wants_to_know_of_each_number(berlin, number):
    VirtualNumber.objects.update(pool=berlin, monthly_cost="1.25", live=3, last_assigned_at="2026-11-24T12:00:00Z")

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
def test_no_cell_is_run_as_a_formula_and_each_is_itself_again(db, number, formula):
    pool = Pool.objects.create(name=formula)
    VirtualNumber.objects.update(region=formula, pool=pool)

    text = exported()

    for cell in csv.reader(io.StringIO(text)):
        for each in cell:
            assert each[:1] not in ("=", "+", "-", "@", "\t") or each == "+447700900500"
    if formula == formula.strip():
        assert preview(text).summary == "0 new, 0 rented again, 0 changed, 1 as they are"


def test_staff_export_what_the_list_shows(admin_client, number):
    add_numbers(1, "FR", start="+337009005")

    answer = admin_client.get(EXPORT, {"country": "GB"})

    assert answer["Content-Type"] == "text/csv"
    assert answer["Content-Disposition"].startswith('attachment; filename="numbers-20')
    assert [row["number"] for row in table(answer.content.decode())] == ["+447700900500"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("query", ["state__exact=%00", "nonsense=1", "created_at__year=99999", "pool__id__exact=x"])
def test_nonsense_in_the_address_of_an_export_is_no_500(admin_client, query):
    assert admin_client.get(f"{EXPORT}?{query}", follow=True).status_code == 200


def test_a_long_export_takes_as_many_queries_as_a_short_one(berlin, django_assert_num_queries):
    add_numbers(40)
    VirtualNumber.objects.update(pool=berlin)

    with django_assert_num_queries(1):
        exported()


# New numbers ----------------------------------------------------------------------------------------------------------


def test_a_number_that_is_rented_already_comes_in_and_waits_to_be_configured(admin_client, admin_user, berlin):
    told = take_in(admin_client, f"number,pool,monthly_cost,type\n{NEW},berlin,1.25,mobile\n")

    assert "Imported: 1 new, 0 rented again, 0 changed, 0 as they are." in told
    [row] = VirtualNumber.objects.all()
    assert (row.number, row.country, row.state, row.is_rented) == (NEW, "GB", NumberState.CONFIGURING, True)
    assert (row.pool, row.monthly_cost, row.type, row.can_sms) == (berlin, Decimal("1.25"), "mobile", True)
    event = row.events.get()
    assert (event.new_state, event.reason, event.actor) == ("configuring", "imported", admin_user.username)


def test_configure_numbers_then_points_it_at_us(admin_client, rentals, run):
    rentals.rent(NEW)
    take_in(admin_client, f"number\n{NEW}\n")

    assert run("configure_numbers")[0] == 0

    assert rentals.account[NEW] == inbound_sms_url()
    assert states() == {NEW: NumberState.ACTIVE}


@pytest.mark.parametrize("written", [NEW, NEW[1:], f"'{NEW}", f" {NEW} ", "+44 7700 900-600"])
def test_a_number_is_read_as_spreadsheets_leave_it(db, written):
    [entry] = preview(f"number\n{written}\n").entries

    assert str(entry) == f"{NEW} new: country GB, pool common, reserved no, can_text yes"


def test_a_number_of_north_america_has_its_area_and_its_state(admin_client, db):
    take_in(admin_client, "number,country\n+12125550100,us\n")

    row = VirtualNumber.objects.get()
    assert (row.country, row.area, row.region) == ("US", "1212", "New York")


def test_a_column_that_is_not_there_and_a_cell_that_says_nothing_leave_what_is(admin_client, berlin, number):
    VirtualNumber.objects.update(pool=berlin, is_reserved=True, rate=2.5)

    take_in(admin_client, f"number,reserved,rate\n{number},,5\n")

    number.refresh_from_db()
    assert (number.pool, number.is_reserved, number.rate) == (berlin, True, 5)


# Numbers of the pool --------------------------------------------------------------------------------------------------


def test_what_people_may_set_is_set_and_an_event_says_what_it_was(admin_client, admin_user, berlin, number):
    content = f"number,pool,reserved,type,can_text,monthly_cost,rate\n{number},berlin,yes,landline,no,1.5,0.5\n"

    told = take_in(admin_client, content)

    assert "0 new, 0 rented again, 1 changed, 0 as they are." in told
    number.refresh_from_db()
    assert (number.pool, number.is_reserved, number.type, number.can_sms) == (berlin, True, "landline", False)
    assert (number.monthly_cost, number.rate) == (Decimal("1.50"), 0.5)
    event = number.events.get()
    assert event.reason == (
        "imported: pool common → berlin, reserved no → yes, type mobile → landline, can_text yes → no, "
        "monthly_cost none → 1.5, rate none → 0.5"
    )
    assert (event.old_state, event.new_state, event.actor) == ("active", "active", admin_user.username)
    assert "0 changed, 1 as they are" in upload(admin_client, content).content.decode()


def test_a_number_leaves_its_pool_for_the_common_one_and_keeps_its_pairs(admin_client, berlin):
    add_numbers(2)
    talk(ALICE, BOB)
    VirtualNumber.objects.update(pool=berlin)

    take_in(admin_client, exported().replace(",berlin,", ",,"))

    for row in VirtualNumber.objects.all():
        assert (row.pool, row.live, row.state) == (None, 1, "active")


def test_state_and_live_pairs_are_for_reading_only(admin_client, number):
    content = f"number,state,live_pairs,area,rate\n{number},retired,7,1212,5\n"

    take_in(admin_client, content)

    number.refresh_from_db()
    assert (number.state, number.live, number.area, number.rate) == ("active", 0, "", 5)


def test_a_number_that_was_given_up_is_rented_again_as_the_file_says(admin_client, admin_user, berlin, number):
    VirtualNumber.objects.update(state=NumberState.RETIRED, is_rented=False, webhook_url=inbound_sms_url())

    told = take_in(admin_client, f"number,pool\n{number},berlin\n")

    assert "0 new, 1 rented again, 0 changed" in told
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


# What is wrong --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("number\n07700900600\n", "Row 2, number: expected a number in E.164 form"),
        ("number\n4.477E+11\n", "Row 2, number: expected a number in E.164 form"),
        ("number\n4.477E+11\n", "found “4.477E+11”"),
        ("number\n\x00\n", "Row 2, number: expected a number"),
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
        ("number,rented\n+447700900500,no\n", "manage.py release_numbers gives a number back"),
    ],
)
def test_a_row_that_is_wrong_says_what_was_expected_and_found_and_nothing_is_imported(
    admin_client, berlin, number, content, told
):
    right = f"{content}+447700900601{',' * (content.splitlines()[0].count(','))}\n"

    answer = upload(admin_client, right)

    assert answer.status_code == 200
    assert any(told in fault for fault in answer.context["result"].faults)
    assert told in answer.content.decode()
    assert "confirm_form" not in answer.context
    assert states() == {"+447700900500": "active"}


def test_a_number_that_is_being_bought_is_left_to_its_purchase(number):
    VirtualNumber.objects.update(state=NumberState.ORDERED, is_rented=False)

    [fault] = preview(f"number\n{number}\n").faults

    assert fault == f"Row 2, number: {number} is being bought: manage.py sync_numbers tells whether it is ours"


@pytest.mark.parametrize("was_ours", [False, True])
def test_the_number_of_a_participant_is_never_imported_nor_shown(admin_client, was_ours):
    add_numbers(2)
    talk(ALICE, BOB)
    if was_ours:
        VirtualNumber.of(ALICE, "GB", None, frozenset(), state=NumberState.RETIRED).save()

    html = upload(admin_client, f"number,rate\n{ALICE[1:]},5\n").content.decode()

    assert "Row 2, number: +44 ••• 01 is a person" in html
    assert ALICE[1:] not in html
    assert not VirtualNumber.objects.filter(number=ALICE, is_rented=True).exists()


def test_what_is_wrong_at_the_end_undoes_what_was_right_before(admin_client, number, monkeypatch):
    answer = upload(admin_client, f"number,rate\n{number},5\n{NEW},\n")

    def also_imported_meanwhile(*args, **kwargs):
        monkeypatch.undo()
        VirtualNumber.of(NEW, "GB", None, frozenset(), state=NumberState.CONFIGURING).save()
        return amend(*args, **kwargs)

    monkeypatch.setattr(import_numbers, "amend", also_imported_meanwhile)
    html = confirm(admin_client, answer).content.decode()

    assert "Nothing was imported. The pool changes at this moment." in html
    number.refresh_from_db()
    assert number.rate is None
    assert not number.events.exists()


def test_a_fault_of_ours_is_none_of_the_file(number, monkeypatch):
    monkeypatch.setattr(import_numbers, "_country", lambda *args: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        preview(f"number\n{NEW}\n")


@pytest.mark.parametrize(
    ("content", "told"),
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
        (b"number\n+447700900600,1\n", "Row 2: expected 1 cells, as the first row has; found 2 cells"),
        (b"number\n+447700900600\n\n+447700900601,1\n", "Row 4: expected 1 cells, as the first row has; found 2 cells"),
        (b'number\n"+447700900600\n', "found one that cannot be read"),
        (b"number\n" + b"1\n" * 100_000, "Expected at most 5,000 rows, found 100,000"),
        (b"number\n" + b"+447700900600\n" * 72_000, "Expected at most 1,000,000 bytes"),
        (b"number\n" + b"+447700900600\n" * 200_000, "Expected a file of up to 1,000,000 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(admin_client, db, content, told):
    answer = upload(admin_client, content)

    assert answer.status_code == 200
    assert told in str(answer.context["form"].errors)
    assert not VirtualNumber.objects.exists()


def test_what_compresses_so_badly_that_a_form_cannot_hold_it_is_refused(admin_client, db, monkeypatch):
    monkeypatch.setattr("numbers.admin.csv_import.MOST_CARRIED", 10)

    answer = upload(admin_client, f"number\n{NEW}\n")

    assert "manage.py import_numbers" in str(answer.context["form"].errors)


@pytest.mark.slow
def test_as_much_as_may_be_imported_fits_into_the_form_that_confirms_it(admin_client, berlin):
    rows = "".join(f"+4477{index * 7919 % 10**8:08},berlin,{index % 100}.{index % 99:02}\n" for index in range(5_000))
    answer = upload(admin_client, f"number,pool,monthly_cost\n{rows}")

    told = confirm(admin_client, answer).content.decode()

    assert "Imported: 5000 new" in told


# Between preview and confirmation -------------------------------------------------------------------------------------


def test_a_number_whose_state_changes_meanwhile_keeps_its_new_state(admin_client, number):
    answer = upload(admin_client, f"number,state,rate\n{number},active,5\n")
    number.quarantine(reason="meanwhile")
    VirtualNumber.objects.update(live=3)

    confirm(admin_client, answer)

    number.refresh_from_db()
    assert (number.state, number.live, number.rate) == (NumberState.QUARANTINED, 3, 5)
    assert number.events.first().new_state == NumberState.QUARANTINED


@pytest.mark.parametrize(
    "meanwhile",
    [{"rate": 2.5}, {"is_reserved": True}, {"state": NumberState.RETIRED, "is_rented": False}],
)
def test_what_nobody_has_seen_in_the_preview_is_not_done(admin_client, number, meanwhile):
    answer = upload(admin_client, f"number,reserved,rate\n{number},no,5\n")
    VirtualNumber.objects.update(**meanwhile)

    html = confirm(admin_client, answer).content.decode()

    assert "Nothing was imported. The pool has changed since the preview." in html
    number.refresh_from_db()
    assert number.rate != 5
    assert {field: getattr(number, field) for field in meanwhile} == meanwhile


def test_a_preview_is_confirmed_once(admin_client, number):
    answer = upload(admin_client, f"number\n{NEW}\n")
    confirm(admin_client, answer)

    assert "The pool has changed since the preview" in confirm(admin_client, answer).content.decode()
    assert VirtualNumber.objects.get(number=NEW).events.count() == 1


def test_a_preview_changes_nothing_and_locks_nothing(admin_client, number, django_assert_max_num_queries):
    with django_assert_max_num_queries(15) as asked:
        upload(admin_client, f"number,rate\n{number},5\n{NEW},\n")

    words = {query["sql"].split()[0] for query in asked.captured_queries}
    assert words <= {"SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK"}
    assert not any("FOR NO KEY UPDATE" in query["sql"] for query in asked.captured_queries)


def test_no_file_is_left_lying_about(admin_client, db, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    answer = upload(admin_client, f"number\n{NEW}\n")

    assert list(tmp_path.iterdir()) == []
    confirm(admin_client, answer)
    assert list(tmp_path.iterdir()) == []
    assert states() == {NEW: NumberState.CONFIGURING}


@pytest.mark.parametrize(
    "forged",
    [
        {"import_file_name": "passwd"},
        {"import_file_name": "\x00"},
        {"import_file_name": ""},
        {"format": "7"},
        {"format": "x"},
        {"resource": "7"},
        {"preview": ""},
    ],
)
def test_a_confirmation_of_what_was_never_previewed_does_nothing(admin_client, db, forged):
    answer = upload(admin_client, f"number\n{NEW}\n")
    fields = {**answer.context["confirm_form"].initial, **forged}

    told = admin_client.post(CONFIRM, fields, follow=True)

    assert "Nothing was imported. The preview is not valid any more." in told.content.decode()
    assert not VirtualNumber.objects.exists()


def test_a_preview_is_valid_for_an_hour(admin_client, db, time_machine):
    time_machine.move_to("2026-11-25T12:00:00Z", tick=False)
    answer = upload(admin_client, f"number\n{NEW}\n")
    time_machine.shift(3601)

    assert "The preview is not valid any more" in confirm(admin_client, answer).content.decode()


# Who may --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("permissions", "may_export", "may_import"),
    [
        ([], False, False),
        (["view_virtualnumber"], True, False),
        (["view_virtualnumber", "change_virtualnumber"], True, False),
        (["view_virtualnumber", "add_virtualnumber"], True, False),
        (["view_virtualnumber", "add_virtualnumber", "change_virtualnumber"], True, True),
        (["view_realnumber", "view_pool", "add_pool", "change_pool"], False, False),
    ],
)
def test_export_is_for_those_who_see_numbers_and_import_for_those_who_may_add_and_change_them(
    staff, number, permissions, may_export, may_import
):
    client = staff(*permissions)

    assert client.get(EXPORT).status_code == (200 if may_export else 403)
    assert client.get(IMPORT).status_code == (200 if may_import else 403)
    assert upload(client, f"number\n{NEW}\n").status_code == (200 if may_import else 403)
    assert client.post(CONFIRM).status_code == (302 if may_import else 403)
    if may_export:
        html = client.get(reverse("admin:numbers_virtualnumber_changelist")).content.decode()
        assert (f'href="{IMPORT}"' in html.replace("'", '"')) == may_import


# From the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "numbers.csv"
        path.write_text(content)
        return str(path)

    return write


def test_what_one_command_writes_changes_nothing_by_the_other(run, berlin, file):
    pool_of_every_kind(berlin)
    code, text = run("export_numbers")

    assert code == 0
    assert run("import_numbers", file(text)) == (0, "0 new, 0 rented again, 0 changed, 8 as they are.\n")


def test_the_command_shows_each_change_asks_and_does_it(run, berlin, number, file):
    path = file(f"number,pool\n{number},berlin\n{NEW},\n")

    code, output = run("import_numbers", path, types="y\n")

    assert code == 0
    assert output.splitlines() == [
        f"{number} pool common → berlin",
        f"{NEW} new: country GB, pool common, reserved no, can_text yes",
        "1 new, 0 rented again, 1 changed, 0 as they are.",
        "Import this? [y/N] Imported. 1 to be pointed at us: manage.py configure_numbers.",
    ]
    number.refresh_from_db()
    assert number.pool == berlin
    assert number.events.get().reason == "imported: pool common → berlin"
    assert states()[NEW] == NumberState.CONFIGURING


@pytest.mark.parametrize(
    ("options", "types", "code", "told"),
    [
        (["--dry-run"], None, 0, "Nothing was imported: --dry-run."),
        ([], "n\n", 2, "Nothing was done: the answer was not yes."),
        ([], None, 2, "there is no terminal to ask on"),
    ],
)
def test_the_command_does_nothing_that_nobody_agreed_to(run, number, file, options, types, code, told):
    found, output = run("import_numbers", file(f"number,rate\n{number},5\n"), *options, types=types)

    assert found == code
    assert told in output
    number.refresh_from_db()
    assert number.rate is None


def test_the_command_needs_not_ask(run, number, file):
    assert run("import_numbers", file(f"number,rate\n{number},5\n"), "--yes")[0] == 0

    number.refresh_from_db()
    assert number.rate == 5


def test_the_command_does_what_was_shown_or_nothing(run, number, file, monkeypatch):
    path = file(f"number,rate\n{number},5\n")

    def agrees_after_somebody_else_came(*args, **kwargs):
        VirtualNumber.objects.update(rate=2.5)

    monkeypatch.setattr("numbers.management.pool_command.PoolCommand.confirm", agrees_after_somebody_else_came)
    code, output = run("import_numbers", path)

    assert code == 2
    assert "The pool has changed since the preview." in output
    number.refresh_from_db()
    assert number.rate == 2.5


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("number,rate\n+447700900500,x\n", "Row 2, rate: expected segments a second"),
        ("pool\nberlin\n", "Nothing was imported. Expected a column “number”"),
        (f"number\n{'1' * csv_file.MOST_BYTES}\n", "Nothing was imported. Expected at most 1,000,000 bytes"),
    ],
)
def test_the_command_says_what_is_wrong_with_the_file(run, number, file, content, told):
    code, output = run("import_numbers", file(content), "--yes")

    assert code == 2
    assert told in output


def test_the_command_says_that_there_is_no_file(run, db):
    code, output = run("import_numbers", "/no/such.csv")

    assert code == 2
    assert "Cannot read /no/such.csv: No such file or directory." in output


# The page -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("dark", [False, True])
def test_staff_see_in_the_browser_what_changes_and_agree(browse, file, dark):
    Pool.objects.create(name="berlin")
    number, _ = add_numbers(2)
    path = file(f"number,pool,rate\n{number},berlin,5\n{NEW},,\n+447700900501,,\n")
    with chromium(dark=dark) as browser:
        browse(browser, reverse("admin:numbers_virtualnumber_changelist"))
        browser.find_element(By.CLASS_NAME, "import_link").click()
        soon(browser, "[name=import_file]")[0].send_keys(path)
        browser.find_element(By.CSS_SELECTOR, "input[type=submit]").click()

        rows = soon(browser, ".import-preview tbody tr")
        assert [row.get_attribute("class") for row in rows] == ["update", "new"]
        assert [cell.text for cell in rows[0].find_elements(By.TAG_NAME, "ins")] == ["berlin", "5"]
        assert "1 new, 0 rented again, 1 changed, 1 as they are" in browser.find_element(By.ID, "content").text
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        browser.find_element(By.NAME, "confirm").click()

        [told] = soon(browser, ".messagelist .success")
        assert told.text.startswith("Imported: 1 new, 0 rented again, 1 changed, 1 as they are.")
    number.refresh_from_db()
    assert number.pool.name == "berlin"


@pytest.mark.parametrize("rate", [1 / 3, 0.1 + 0.2, 10.0, 1e22])
def test_an_export_has_the_rate_to_its_last_digit(db, rate):
    [number] = add_numbers(1)
    VirtualNumber.objects.filter(pk=number.pk).update(rate=rate)
    table = NumberCSV().create_dataset(NumberCSV().export_data(NumberResource().export()).encode())
    assert NumberResource().import_data(table, dry_run=True).entries == []
