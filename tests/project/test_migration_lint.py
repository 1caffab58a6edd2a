"""A migration locks no large table for long, and a running older version can go on beside it."""

import pytest
from django.apps import apps
from django.db import migrations

from tests.support import migration_lint
from tests.support.migration_lint import findings

MESSAGES = '"conversations_outboundmessage"'
NUMBERS = '"numbers_virtualnumber"'


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)  # Some migrations refuse to be in a transaction.
def test_every_new_migration_is_quick_and_safe_beside_the_older_version():
    refused = {
        f"{migration.app_label}.{migration.name}": found
        for migration in migration_lint.new_migrations()
        if (found := migration_lint.refused(migration, migration_lint.sql_of(migration)))
    }

    assert not refused, "\n".join(line for found in refused.values() for line in found)


@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        # The older version's INSERT does not name the column.
        ("adding-required-field", f'ALTER TABLE {MESSAGES} ADD COLUMN "x" integer NOT NULL;'),
        # Django's own default for existing rows: it is dropped at once.
        ("ban-drop-default", f'ALTER TABLE {NUMBERS} ALTER COLUMN "x" DROP DEFAULT;'),
        ("ban-drop-column", f'ALTER TABLE {NUMBERS} DROP COLUMN "x" CASCADE;'),
        ("renaming-column", f'ALTER TABLE {NUMBERS} RENAME COLUMN "x" TO "y";'),
        ("renaming-table", f'ALTER TABLE {NUMBERS} RENAME TO "y";'),
        ("require-concurrent-index-creation", f'CREATE INDEX "i" ON {MESSAGES} ("x");'),
        ("require-concurrent-index-creation", f'CREATE UNIQUE INDEX "i" ON {MESSAGES} ("x") WHERE "x" > 0;'),
        ("changing-column-type", f'ALTER TABLE {MESSAGES} ALTER COLUMN "x" TYPE bigint USING "x"::bigint;'),
        ("adding-field-with-default", f'ALTER TABLE {MESSAGES} ADD COLUMN "x" float DEFAULT random() NOT NULL;'),
        ("adding-not-nullable-field", f'ALTER TABLE {MESSAGES} ALTER COLUMN "x" SET NOT NULL;'),
        ("constraint-missing-not-valid", f'ALTER TABLE {MESSAGES} ADD CONSTRAINT "c" CHECK ("x" > 0);'),
        ("disallowed-unique-constraint", f'ALTER TABLE {MESSAGES} ADD CONSTRAINT "u" UNIQUE ("x");'),
        ("runs-python", "-- THIS OPERATION CANNOT BE WRITTEN AS SQL"),
    ],
)
def test_a_statement_that_stops_traffic_is_found(rule, statement):
    assert rule in [each.rule for each in findings(f"BEGIN;\n--\n-- a comment\n--\n{statement}\nCOMMIT;\n")]


@pytest.mark.parametrize(
    "statement",
    [
        f'ALTER TABLE {MESSAGES} ADD COLUMN "x" integer DEFAULT 0 NOT NULL;',
        f'ALTER TABLE {MESSAGES} ADD COLUMN "x" integer NULL;',
        f'CREATE INDEX "i" ON {NUMBERS} ("x");',
        'CREATE TABLE "new" ("id" bigint PRIMARY KEY, "x" integer NOT NULL);\nCREATE INDEX "i" ON "new" ("x");',
    ],
)
def test_a_quick_statement_and_an_index_on_a_small_table_are_allowed(statement):
    assert findings(f"BEGIN;\n{statement}\nCOMMIT;\n") == []


def test_an_index_built_beside_traffic_needs_a_migration_without_a_transaction():
    statement = f'CREATE INDEX CONCURRENTLY "i" ON {MESSAGES} ("x");\n'

    assert findings(statement) == []
    assert findings(f"BEGIN;\n{statement}COMMIT;\n")


class TestAcceptance:
    SQL = f'CREATE INDEX "i" ON {MESSAGES} ("x");\n'

    @pytest.fixture
    def migration(self):
        return migrations.Migration("0099_index", "conversations")

    @pytest.fixture
    def accept(self, monkeypatch):
        """Return a function that gives the migration's module, which is this test's, its ACCEPTED."""
        monkeypatch.setattr(migrations.Migration, "__module__", __name__)

        def accept(**reasons):
            monkeypatch.setitem(globals(), "ACCEPTED", {rule.replace("_", "-"): why for rule, why in reasons.items()})

        return accept

    def test_a_finding_is_accepted_with_a_reason(self, migration, accept):
        accept()
        assert migration_lint.refused(migration, self.SQL)

        accept(require_concurrent_index_creation="the table is empty before this version")
        assert migration_lint.refused(migration, self.SQL) == []

    def test_an_acceptance_without_a_reason_or_without_a_finding_is_refused(self, migration, accept):
        accept(require_concurrent_index_creation=" ")
        assert migration_lint.refused(migration, self.SQL)

        accept(ban_drop_column="the column was never used")
        assert "ban-drop-column" in migration_lint.refused(migration, "SELECT 1;")[0]


def test_the_tables_that_count_as_small_exist():
    assert {model._meta.db_table for model in apps.get_models()} >= migration_lint.SMALL_TABLES
