"""Run the statements of one inbound message through pgbench, without Python, HTTP or signatures.

The statements are recorded while the application processes a message, so that they cannot become outdated. Values that
must be unique are replaced.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
from django.apps import apps
from django.db import connection
from django.db.models import AutoField
from django.test import Client
from django.test.utils import CaptureQueriesContext

from benchmarks.traffic import CONNECTIONS, WEBHOOK, Line, Text, webhook

# Makes new ids recognisable: ids of the first table start here, those of the next one STEP later.
FIRST, STEP = 7_000_000_000_000, 10_000_000_000
NEVER_POSTED = 1_000_000
MOST_SCRIPTS = 100  # pgbench accepts 128


def transactions_per_second(lines: Sequence[Line], database_url: str, directory: Path, *, seconds: int) -> float | None:
    """Return transactions per second, prepared or not, or None if this machine has no pgbench."""
    program = shutil.which("pgbench")
    if program is None:
        return None
    scripts = []
    for index, script in enumerate(_scripts(lines)):
        path = directory / f"inbound-{index}.sql"
        path.write_text(script)
        scripts += ["--file", str(path)]
    options = ["--no-vacuum", "--client", str(CONNECTIONS), "--jobs", "2", "--time", str(seconds)]
    rates = []
    for protocol in ("simple", "prepared"):
        command = [program, *options, "--protocol", protocol, *scripts, database_url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        rate = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
        if done.returncode or rate is None:
            raise RuntimeError(f"pgbench could not run the statements:\n{done.stderr[:2000]}")
        rates.append(float(rate[1]))
    return max(rates)


def _scripts(lines: Sequence[Line]) -> Iterator[str]:
    """Return one script per conversation, so that clients rarely wait for the same lock."""
    models = apps.get_app_config("conversations").get_models()
    tables = [model._meta.db_table for model in models if isinstance(model._meta.pk, AutoField)]
    with connection.cursor() as cursor:
        for index, table in enumerate(tables):
            cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, FIRST + index * STEP])
    client = Client(headers={"host": "localhost"})
    # Each line is of another conversation.
    for index, line in enumerate(lines[:MOST_SCRIPTS]):
        text = Text(index, NEVER_POSTED)
        with _listening() as heard:
            answer = client.post(WEBHOOK, webhook(line, text), "application/json")
        if answer.status_code != 200:
            raise RuntimeError(f"the webhook answered {answer.status_code}")
        statements = [_with_new_values(query["sql"], text, tables) for query in heard]
        yield "\n".join(["\\set new random(1, 1000000000000000)", *(f"{each};" for each in statements)])


@contextmanager
def _listening() -> Iterator[CaptureQueriesContext]:
    """Record statements, also those that do not go through Django's cursors."""
    execute = psycopg.Cursor.execute

    def heard(cursor: psycopg.Cursor[Any], query: Any, params: Any = None, **options: Any) -> psycopg.Cursor[Any]:
        if type(cursor) is psycopg.Cursor:
            connection.queries_log.append({"sql": psycopg.ClientCursor(cursor.connection).mogrify(query, params)})
        return execute(cursor, query, params, **options)

    with CaptureQueriesContext(connection) as captured, mock.patch.object(psycopg.Cursor, "execute", heard):
        yield captured


def _with_new_values(statement: str, text: Text, tables: Sequence[str]) -> str:
    """Replace ids of new rows by the latest id of their table, and other unique values by random ones."""

    def latest(match: re.Match[str]) -> str:
        return f"currval(pg_get_serial_sequence('{tables[(int(match[0]) - FIRST) // STEP]}', 'id'))"

    statement = statement.replace(f"'{text.message_id}'", f"('{text.message_id}-' || :new)")
    # A client-ref, alone or in an array of one.
    statement = re.sub("'({?)[0-9a-f]{32}(}?)'", r"('\1' || md5(random()::text) || '\2')", statement)
    return re.sub(r"\b7[0-9]{12}\b", latest, statement)
