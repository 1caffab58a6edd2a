"""Millions of conversations, generated inside the database."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.color import no_style
from django.db import connection, models, transaction

from benchmarks.seeding import add_numbers, person
from benchmarks.traffic import Line
from conversations.models import Conversation, Participant
from numbers.models import RealNumber

CONVERSATIONS_OF_A_PERSON = 5
KNOWN = 400  # people with correct numbers and hashes, so that look-ups find them


def write_conversations(conversations: int, numbers: int) -> list[Line]:
    """Create open conversations of two people on the given virtual numbers, and return lines of some people.

    Each person is in five conversations with the same counterpart, on a different number in each.
    """
    people = 2 * conversations // CONVERSATIONS_OF_A_PERSON
    add_numbers(numbers)
    first_number = connection_value("SELECT min(id) FROM numbers_virtualnumber")
    with transaction.atomic(), without_indexes(RealNumber, Conversation, Participant):
        token = RealNumber._meta.get_field("number").get_db_prep_save(person(0), connection)
        insert(RealNumber, people, number=f"'{token}'", number_hash="md5(i::text) || md5('x' || i)", country="'GB'")
        insert(Conversation, conversations, public_id="gen_random_uuid()")
        # Row i is a participant of conversation (i + 1) / 2. 1009 and the pool sizes are coprime.
        insert(
            Participant,
            2 * conversations,
            conversation_id="(i + 1) / 2",
            position="mod(i + 1, 2)",
            label="'Person'",
            real_number_id=f"mod(i - 1, {people}) + 1",
            proxy_number_id=f"mod(i + (i / {people}) * 1009, {numbers}) + {first_number}",
        )
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE numbers_virtualnumber SET live_pair_count = counted.live "
            "FROM (SELECT proxy_number_id, count(*) AS live FROM conversations_participant "
            "WHERE released_at IS NULL GROUP BY 1) AS counted "
            "WHERE numbers_virtualnumber.id = proxy_number_id"
        )
        cursor.execute("VACUUM ANALYZE")
    return _known_lines(people)


def _known_lines(people: int) -> list[Line]:
    """Return pairs of counterparts, evenly spaced."""
    pairs = range(0, people // 2, max(1, people // KNOWN))
    known = {pk: RealNumber.from_number(person(pk)) for pair in pairs for pk in (2 * pair + 1, 2 * pair + 2)}
    for pk, row in known.items():
        row.pk = pk
    RealNumber.objects.bulk_update(known.values(), ["number", "number_hash", "country"])
    participants = Participant.objects.filter(real_number__in=known).select_related("proxy_number").order_by("pk")
    return [Line(person(each.real_number_id), each.proxy_number.number) for each in participants]


def insert(model: type[models.Model], count: int, **columns: str) -> None:
    """Insert rows 1 to count. columns: SQL expressions of i, the row's number; others take the model's defaults."""
    columns = {"id": "i", **columns}
    params = []
    for field in model._meta.concrete_fields:
        name = str(field.column)
        if name not in columns and not field.has_db_default():
            columns[name] = "%s"
            params.append(field.get_db_prep_save(field.get_default(), connection))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) "
            f"SELECT {', '.join(columns.values())} FROM generate_series(1, {count}) AS i",
            params,
        )
        for statement in connection.ops.sequence_reset_sql(no_style(), [model]):
            cursor.execute(statement)


@contextmanager
def without_indexes(*tables: type[models.Model]) -> Iterator[None]:
    """Drop indexes and constraints except primary keys, and recreate them at the end, which is much faster."""
    again: list[str] = []
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
        for model in tables:
            table = model._meta.db_table
            cursor.execute(
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
                "WHERE conrelid = %s::regclass AND contype IN ('u', 'f')",
                [table],
            )
            for name, definition in cursor.fetchall():
                cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
                again.append(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
            cursor.execute(
                "SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index "
                "WHERE indrelid = %s::regclass AND NOT indisprimary",
                [table],
            )
            for name, definition in cursor.fetchall():
                cursor.execute(f"DROP INDEX {name}")
                again.append(definition)
        yield
        for statement in again:
            cursor.execute(statement)


def connection_value(query: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query)
        value: int = cursor.fetchone()[0]
    return value
