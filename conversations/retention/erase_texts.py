"""Erase the text of messages and internal notes older than TEXT_RETENTION_SECONDS. The rows and their outcomes stay.

Each pass reads each table by id, which is also the order of time, from where the last pass stopped. A pass with
nothing to do reads a row of each table, whatever the size of the tables, and needs no index.
"""

from datetime import timedelta
from itertools import takewhile
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from conversations.models import (
    ApiMessage,
    ConversationNote,
    InboundMessage,
    OutboundMessage,
    OutboundState,
    TextErasure,
)
from smsproxy.database.clock import database_now

BITE = 2000  # rows of each table in one pass


def erase_old_texts() -> int:
    """Erase the next batch of each table. Return the number of rows erased."""
    if not settings.TEXT_RETENTION_SECONDS:
        return 0
    before = database_now() - timedelta(seconds=settings.TEXT_RETENTION_SECONDS)
    # An open long message is still to be joined from the texts of its parts.
    is_of_no_open_text = Q(long_message=None) | Q(long_message__closed_at__isnull=False)
    # A message with an unknown outcome is too old here to be sent again, so its text may go.
    is_never_sent_again = ~Q(state__in=[OutboundState.QUEUED, OutboundState.SENDING])
    is_old = Q(created_at__lt=before)
    return (
        _erase(InboundMessage.objects.all(), Q(received_at__lt=before) & is_of_no_open_text, text="", raw="")
        + _erase(ApiMessage.objects.all(), is_old, text="")
        + _erase(ConversationNote.objects.all(), is_old, text="")
        + _erase(OutboundMessage.objects.all(), is_old & is_never_sent_again, text="")
    )


def _erase(rows: "QuerySet[Any]", may_go: Q, **erased: str) -> int:
    """Erase up to the first row that must stay for now, and return the number of rows erased.

    The next pass starts at that row. Skipping it would keep its text forever.
    """
    with transaction.atomic():
        mark, _ = TextErasure.objects.select_for_update(no_key=True).get_or_create(table=rows.model._meta.db_table)
        rest = rows.filter(pk__gt=mark.up_to)
        marked = rest.annotate(may_go=may_go).order_by("pk").values_list("pk", "may_go")
        if not any(first_may_go for _, first_may_go in marked[:1]):
            return 0
        gone = [pk for pk, _ in takewhile(lambda row: row[1], marked[:BITE])]
        rest.filter(pk__lte=gone[-1]).update(**erased)
        mark.up_to = gone[-1]
        mark.save(update_fields=["up_to"])
    return len(gone)
