"""Judge the SQL of migrations: long locks on large tables, and changes that break a running older version.

Squawk (https://squawkhq.com) reads the SQL that Django would run on PostgreSQL. A finding is accepted by a line in the
migration's file, `ACCEPTED = {"the rule": "the reason"}`.
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from django.apps import apps
from django.core.management import call_command
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

APPS = {"conversations", "numbers", "smsproxy"}
SQUAWK = str(Path(sys.executable).parent / "squawk")
OLDEST_POSTGRESQL = "14.0"

# Newer migrations are judged. These and older ones ran before anybody had large tables.
BASELINE = {
    "api": "0002_help_texts",
    "conversations": "0008_holds",
    "numbers": "0008_opt_out_permission",
    "simulator": "0002_help_texts",
}
# An older version that still runs would fail, whatever the size of the table.
BREAKS_OLDER_VERSION = {
    "adding-required-field",
    "ban-drop-column",
    "ban-drop-default",
    "ban-drop-table",
    "renaming-column",
    "renaming-table",
}
# Reads or rewrites the whole table under a lock.
LOCKS_FOR_LONG = {
    "adding-field-with-default",
    "adding-foreign-key-constraint",
    "adding-not-nullable-field",
    "adding-serial-primary-key-field",
    "ban-alter-domain-with-add-constraint",
    "ban-truncate-cascade",
    "changing-column-type",
    "constraint-missing-not-valid",
    "disallowed-unique-constraint",
    "require-concurrent-index-creation",
    "require-concurrent-index-deletion",
}
# Fails when it is run.
FAILS = {"ban-concurrent-index-creation-in-transaction", "syntax-error"}
# Squawk cannot read Python: its author says why it is quick, and in batches.
PYTHON = "runs-python"
# Tables that stay small: one row for each number, pool, host, worker or rule. A new table counts as large.
SMALL_TABLES = {
    "api_apikey",
    "conversations_accountratelimit",
    "conversations_block",
    "conversations_hostclock",
    "conversations_numberratelimit",
    "conversations_texterasure",
    "conversations_worker",
    "numbers_numberorder",
    "numbers_pool",
    "numbers_topup",
    "numbers_virtualnumber",
    "services_service",
    "services_servicetext",
}
_TABLE = re.compile(r'(?:TABLE|ON|REFERENCES) (?:ONLY )?"(\w+)"')


@dataclass(frozen=True)
class Finding:
    """A statement that a rule does not allow."""

    rule: str
    statement: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.statement}\n    {self.message}"


def new_migrations() -> list[Migration]:
    """Return our migrations that are newer than the baseline."""
    ours = {config.label for config in apps.get_app_configs() if config.name.split(".")[0] in APPS}
    every = MigrationLoader(None).disk_migrations
    return [every[app, name] for app, name in sorted(every) if app in ours and name > BASELINE.get(app, "")]


def sql_of(migration: Migration) -> str:
    """Return the statements of the migration. The connection must be to PostgreSQL."""
    out = StringIO()
    call_command("sqlmigrate", migration.app_label, migration.name, stdout=out, no_color=True)
    return out.getvalue()


def findings(sql: str) -> list[Finding]:
    """Return what the rules do not allow in these statements."""
    command = [SQUAWK, "--reporter=json", f"--pg-version={OLDEST_POSTGRESQL}", "--stdin-filepath=migration.sql"]
    done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):  # 1: there are warnings
        raise RuntimeError(f"squawk failed: {done.stderr}")
    lines = sql.splitlines()
    found = [
        Finding(each["rule_name"], " ".join(lines[each["line"] : each["line_end"] + 1]), each["message"])
        for each in json.loads(done.stdout)
    ]
    if "THIS OPERATION CANNOT BE WRITTEN AS SQL" in sql:
        found.append(Finding(PYTHON, "RunPython", "Say why it is quick, or that it runs in batches."))
    return [each for each in found if _counts(each)]


def refused(migration: Migration, sql: str) -> list[str]:
    """Return the findings that the migration's file does not accept, and what it accepts without a finding."""
    accepted: dict[str, str] = getattr(sys.modules[migration.__module__], "ACCEPTED", {})
    found = findings(sql)
    unused = accepted.keys() - {each.rule for each in found}
    return [
        *(str(each) for each in found if not accepted.get(each.rule, "").strip()),
        *(f"ACCEPTED[{rule!r}]: there is no such finding any more" for rule in sorted(unused)),
    ]


def _counts(finding: Finding) -> bool:
    if finding.rule in LOCKS_FOR_LONG:
        tables = set(_TABLE.findall(finding.statement))
        return not tables or not tables <= SMALL_TABLES
    return finding.rule in BREAKS_OLDER_VERSION | FAILS | {PYTHON}
