"""CSV import and export in the admin: an import does exactly what its preview shows."""

import tempfile

import pytest
from django.urls import reverse
from selenium.webdriver.common.by import By

from numbers.models import NumberState, Pool, VirtualNumber
from tests.support.browser import chromium, soon
from tests.support.builders import add_numbers
from tests.support.number_csv import CONFIRM, EXPORT, IMPORT, NEW, confirm, upload
from tests.support.pages import fits
from tests.support.terminal import states


def test_an_import_keeps_a_state_changed_after_the_preview(admin_client, number):
    answer = upload(admin_client, f"number,state,rate\n{number},active,5\n")
    number.quarantine(reason="for the test")
    VirtualNumber.objects.update(live_pair_count=3)

    confirm(admin_client, answer)

    number.refresh_from_db()
    assert (number.state, number.live_pair_count, number.rate) == (NumberState.QUARANTINED, 3, 5)
    assert number.events.first().new_state == NumberState.QUARANTINED


@pytest.mark.parametrize(
    "change",
    [{"rate": 2.5}, {"is_reserved": True}, {"state": NumberState.RETIRED, "is_rented": False}],
)
def test_an_import_that_differs_from_its_preview_is_rejected(admin_client, number, change):
    answer = upload(admin_client, f"number,reserved,rate\n{number},no,5\n")
    VirtualNumber.objects.update(**change)

    html = confirm(admin_client, answer).content.decode()

    assert "Nothing was imported. The pool has changed since the preview." in html
    number.refresh_from_db()
    assert number.rate != 5
    assert {field: getattr(number, field) for field in change} == change


def test_a_preview_can_be_confirmed_only_once(admin_client, number):
    answer = upload(admin_client, f"number\n{NEW}\n")
    confirm(admin_client, answer)

    assert "The pool has changed since the preview" in confirm(admin_client, answer).content.decode()
    assert VirtualNumber.objects.get(number=NEW).events.count() == 1


def test_a_preview_changes_nothing_and_locks_nothing(admin_client, number, django_assert_max_num_queries):
    with django_assert_max_num_queries(15) as captured:
        upload(admin_client, f"number,rate\n{number},5\n{NEW},\n")

    words = {query["sql"].split()[0] for query in captured.captured_queries}
    assert words <= {"SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK"}
    assert not any("FOR NO KEY UPDATE" in query["sql"] for query in captured.captured_queries)


def test_an_import_leaves_no_temporary_file(admin_client, db, monkeypatch, tmp_path):
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
        {"preview": ""},
    ],
)
def test_a_forged_confirmation_imports_nothing(admin_client, db, forged):
    answer = upload(admin_client, f"number\n{NEW}\n")
    fields = {**answer.context["confirm_form"].initial, **forged}

    answer = admin_client.post(CONFIRM, fields, follow=True)

    assert "Nothing was imported. The preview is not valid any more." in answer.content.decode()
    assert not VirtualNumber.objects.exists()


def test_a_preview_is_valid_for_an_hour(admin_client, db, time_machine):
    time_machine.move_to("2026-11-25T12:00:00Z", tick=False)
    answer = upload(admin_client, f"number\n{NEW}\n")
    time_machine.shift(3601)

    assert "The preview is not valid any more" in confirm(admin_client, answer).content.decode()


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
def test_export_needs_the_view_permission_and_import_the_add_and_change_permissions(
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


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("dark", [False, True])
def test_staff_can_review_and_confirm_an_import_in_the_browser(browse, file, dark):
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
        assert "1 new, 0 rented again, 1 changed, 1 unchanged" in browser.find_element(By.ID, "content").text
        assert fits(browser)
        browser.find_element(By.NAME, "confirm").click()

        [notice] = soon(browser, ".messagelist .success")
        assert notice.text.startswith("Imported: 1 new, 0 rented again, 1 changed, 1 unchanged.")
    number.refresh_from_db()
    assert number.pool.name == "berlin"
