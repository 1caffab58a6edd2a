"""The lock of a conversation. Messages are queued under it, so they become visible in the order of their ids."""

from collections.abc import Iterable

from .conversation import Conversation


def lock_conversations(pks: Iterable[int | None]) -> None:
    """Lock these conversations until the transaction ends: after people, before messages, and in one order."""
    wanted = {pk for pk in pks if pk is not None}
    if wanted:
        rows = Conversation.objects.select_for_update(no_key=True).filter(pk__in=wanted)
        list(rows.order_by("pk").values_list("pk"))
