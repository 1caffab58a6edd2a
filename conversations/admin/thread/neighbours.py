"""The list of conversations: the filters that it offers, and the next and the previous one under the same filters."""

from typing import NamedTuple

from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict

from conversations.models import Conversation, ConversationState
from smsproxy.values import id_in_url

FILTERS_FIELD = "_changelist_filters"


class Neighbours(NamedTuple):
    """The ids of the next conversations of the list. is_filtered: the list has filters, which they match."""

    newer: int | None
    older: int | None
    is_filtered: bool


def neighbours_of(conversation: Conversation, request: HttpRequest) -> Neighbours:
    """Return the conversations beside this one, in two queries. A search is not repeated: then they are next by id."""
    filters = QueryDict(request.GET.get(FILTERS_FIELD, ""))
    rows = _filtered(filters)
    is_filtered = rows is not None
    rows = rows if rows is not None else Conversation.objects.all()
    newer = rows.filter(pk__gt=conversation.pk).order_by("pk").values_list("pk", flat=True).first()
    older = rows.filter(pk__lt=conversation.pk).order_by("-pk").values_list("pk", flat=True).first()
    return Neighbours(newer, older, is_filtered)


def _filtered(filters: QueryDict) -> "QuerySet[Conversation] | None":
    """Return the conversations that match the filters of the list, or None without any that are known here."""
    rows, is_filtered = Conversation.objects.order_by(), False
    if "q" in filters:
        return None
    state = filters.get("state__exact", "")
    if state in ConversationState.values:
        rows, is_filtered = rows.filter(state=state), True
    if service := id_in_url(filters.get("service__id__exact", "")):
        rows, is_filtered = rows.filter(service=service), True
    held = filters.get("held_at__isempty", "")
    if held in ("0", "1"):
        # Only open conversations have the index of those on hold.
        rows, is_filtered = rows.filter(held_at__isnull=held == "1"), True
    return rows if is_filtered else None
