"""Erasing what people wrote, once it is older than TEXT_RETENTION. What became of each text is kept.

Both tables are gone through in the order of their ids, which is that of time, from where the last pass stopped. So a
pass that finds nothing to do reads two rows, however long the tables are, and no index is kept for it.
"""

from datetime import timedelta
from itertools import takewhile

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from conversations.models import InboundMessage, OutboundMessage, OutboundState, TextErasure

BITE = 2000  # rows of each table in one pass


def erase_old_texts() -> int:
    """Erase the next bite of each table. How many rows?"""
    if not settings.TEXT_RETENTION:
        return 0
    before = timezone.now() - timedelta(seconds=settings.TEXT_RETENTION)
    # A long text that is still open is about to be put together from the texts of its parts.
    is_of_no_open_text = Q(long_text=None) | Q(long_text__closed_at__isnull=False)
    # One of unknown outcome is too old by now to be sent again.
    is_never_sent_again = ~Q(state__in=[OutboundState.QUEUED, OutboundState.SENDING])
    return _erase(
        InboundMessage.objects.all(), Q(received_at__lt=before) & is_of_no_open_text, text="", raw=""
    ) + _erase(OutboundMessage.objects.all(), Q(created_at__lt=before) & is_never_sent_again, text="")


def _erase(rows: "QuerySet[InboundMessage] | QuerySet[OutboundMessage]", may_go: Q, **erased: str) -> int:
    """Up to the first row that may not go yet: it is waited for, or it would be passed over for ever."""
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
