"""What staff and the services leave behind in a year, for the pages of staff: the audit, notes, blocks, samples."""

from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import connection, transaction

from benchmarks.million_messages import BUSY, LONG, Size
from benchmarks.millions import insert, without_indexes
from conversations.models import (
    ApiMessage,
    Block,
    ConversationNote,
    HourlySample,
    InboundMessage,
    InboxItem,
    OutboundMessage,
    TroubleEpisode,
)
from numbers.models import NumberEvent, Pool, Shortage
from smsproxy.api.models import IdempotencyRecord
from smsproxy.database.clock import database_now
from smsproxy.staff.models import AuditAction, AuditedPerson, AuditEntry, Reveal, RevealKind

ACTORS = 20
"""Members of staff: staff-0, staff-1 ..."""
_HOURS = 90 * 24
_DAYS_AGO = "now() - interval '300 days' + i * interval '300 days' / {}"


def write_staff_rows(size: Size, user: User) -> None:
    """Write them, and let the user see the texts of the long conversation."""
    _write_audit(size)
    text = ConversationNote._meta.get_field("text").get_db_prep_save("Called back, all is well.", connection)
    share = size.conversations // 20
    with transaction.atomic():
        insert(ConversationNote, share, conversation_id="i * 20", text=f"'{text}'", author="'staff-1'")
        insert(ApiMessage, 5 * share, conversation_id="i * 4", text=f"'{text}'", created_at=_DAYS_AGO.format(5 * share))
        insert(
            Block,
            share // 5,
            person_id="i",
            reason="'insults'",
            created_by="'staff-2'",
            ended_at="CASE WHEN mod(i, 3) > 0 THEN now() END",
        )
        insert(IdempotencyRecord, 10 * share, service_id="1", key="md5('key' || i)", status="201", request_hash="'x'")
        insert(NumberEvent, 20 * size.numbers, number_id=_number(size), new_state="'active'", reason="'imported'")
        insert(Shortage, share, country="'GB'", eligible_count="9", in_use="9", needed="1", reason="'no number'")
        hour = "date_trunc('hour', now()) - i * interval '1 hour'"
        sample = {"since": hour, "until": f"{hour} + interval '1 hour'", "figures": "'{\"delivered\": 9000}'::jsonb"}
        insert(HourlySample, _HOURS, hour=hour, **sample)
        insert(
            TroubleEpisode,
            share,
            kind="'waits'",
            sentence="'Messages wait.'",
            began_at="now()",
            confirmed_at="now()",
            ended_at=_DAYS_AGO.format(share),
        )
        insert(Pool, 20, name="'pool-' || i")
    _write_inbox_items(share)
    Reveal.objects.create(user=user, kind=RevealKind.TEXTS, object_id=LONG, reason="a complaint", until=_in_an_hour())
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _write_audit(size: Size) -> None:
    """Write 200,000 entries for a million messages: of 20 actors, and each of one person. The busiest has a tenth."""
    entries, conversations = size.messages // 5, size.conversations
    actions = ", ".join(f"'{action}'" for action in AuditAction.values)
    with transaction.atomic(), without_indexes(AuditedPerson, AuditEntry):
        insert(
            AuditEntry,
            entries,
            at=_DAYS_AGO.format(entries),
            actor=f"'staff-' || mod(i, {ACTORS})",
            action=f"(ARRAY[{actions}])[mod(i / {ACTORS}, {len(AuditAction.values)}) + 1]",
            object_type="'conversations.conversation'",
            object_id=f"CASE WHEN mod(i, 10) = 0 THEN {LONG} ELSE mod(i, {conversations}) + 1 END::text",
            object_name="'conversation'",
            reason="'a complaint'",
        )
        insert(AuditedPerson, entries, entry_id="i", person_id=f"CASE WHEN mod(i, 10) = 0 THEN {BUSY} ELSE i END")


def _write_inbox_items(count: int) -> None:
    """Settle old items, and let a member of staff take the newest ones."""
    texts = InboundMessage.objects.filter(outcome="no_route").order_by("-pk").values_list("pk", flat=True)[:count]
    unknown = OutboundMessage.objects.filter(state="unknown").order_by("pk").values_list("pk", flat=True)
    taken, done = {"taken_by": "bench", "done_at": None}, {"done_by": "staff-3", "outcome": "dismissed"}
    now = _in_an_hour()
    items = [
        InboxItem(inbound_id=pk, taken_at=now, **(taken if place < 100 else {**done, "done_at": now}))
        for place, pk in enumerate(texts)
    ]
    items += [InboxItem(outbound_id=pk, taken_at=now, **taken) for pk in unknown[:10]]
    InboxItem.objects.bulk_create(items, batch_size=5000)


def _number(size: Size) -> str:
    return f"mod(i, {size.numbers}) + (SELECT min(id) FROM numbers_virtualnumber)"


def _in_an_hour() -> datetime:
    return database_now() + timedelta(hours=1)
