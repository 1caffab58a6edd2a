"""Nobody changes or deletes what the audit holds: not our code, and not the database's role."""

import re

import pytest
from django.db import DatabaseError, connection, transaction

from smsproxy.staff.append_only import TABLES
from smsproxy.staff.audit import record_for
from smsproxy.staff.models import AuditAction, AuditedPerson, AuditEntry
from tests.support.documentation import doc, section

pytestmark = pytest.mark.django_db

ROLE = "smsproxy_app_of_a_test"
CHANGES = {
    "staff_auditentry": "UPDATE staff_auditentry SET actor = 'nobody'",
    "staff_auditedperson": "UPDATE staff_auditedperson SET person_id = 0",
}


@pytest.fixture
def entry():
    return record_for("sam", AuditAction.DID, detail="close", people=[1, 2])


def refused(statement):
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("table", TABLES)
def test_raw_sql_neither_changes_nor_deletes_a_row(entry, table):
    refused(CHANGES[table])
    refused(f"DELETE FROM {table}")

    assert (AuditEntry.objects.get().actor, AuditedPerson.objects.count()) == ("sam", 2)


@pytest.mark.postgres
@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_not_truncated(entry, table):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # PostgreSQL asks for it before it truncates.

    refused(f"TRUNCATE {table} CASCADE")

    assert AuditedPerson.objects.count() == 2


def test_our_code_neither_changes_nor_deletes_an_entry(entry):
    entry.actor = "nobody"
    for change in (entry.save, entry.people.all().delete, lambda: AuditEntry.objects.update(actor="nobody")):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()

    assert AuditEntry.objects.get().actor == "sam"


@pytest.mark.postgres
def test_the_role_of_the_documentation_adds_entries_and_cannot_remove_the_triggers(entry):
    statements = sql_of("The audit, and the database")
    assert any("REVOKE" in each for each in statements)
    with connection.cursor() as cursor:
        # Roles are created within the transaction, so that the test leaves none.
        for statement in statements:
            cursor.execute(statement.replace("smsproxy_app", ROLE))
        cursor.execute(f"SET LOCAL ROLE {ROLE}")
        record_for("kim", AuditAction.SAW, detail="its text", people=[3])
        cursor.execute("UPDATE conversations_worker SET trouble = ''")
        for statement in (
            *CHANGES.values(),
            *(f"DELETE FROM {table}" for table in TABLES),
            *(f"TRUNCATE {table} CASCADE" for table in TABLES),
            "ALTER TABLE staff_auditentry DISABLE TRIGGER ALL",
            "DROP TRIGGER staff_auditentry_append_only ON staff_auditentry",
            "DROP TABLE staff_auditedperson",
        ):
            with pytest.raises(DatabaseError, match=r"permission denied|must be owner"), transaction.atomic():
                cursor.execute(statement)
        cursor.execute("RESET ROLE")

    assert list(AuditEntry.objects.values_list("actor", flat=True)) == ["kim", "sam"]


def sql_of(heading):
    """Return the statements of the SQL in this section of docs/privacy.md."""
    [block] = re.findall(r"```sql\n(.*?)```", section(doc("privacy.md"), heading), re.DOTALL)
    return [each.strip() for each in block.split(";") if each.strip()]


def test_staff_have_no_button_that_deletes_an_entry(admin_client, entry):
    page = f"/admin/staff/auditentry/{entry.pk}"

    assert admin_client.get(f"{page}/change/").status_code == 200
    assert "Delete" not in admin_client.get(f"{page}/change/").text
    assert admin_client.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
