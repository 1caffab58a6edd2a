"""Events of the feed about a conversation itself: its end with a summary, its terms, its people and their numbers.

By hand, because the models of messages import the one of conversations.
"""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from smsproxy.database.prepared import fetch_all
from smsproxy.events.record import NewEvent, record
from smsproxy.events.types import EventType

# What `conversation.changed` and `participant.changed` can name: fields of the API.
CHANGED_TERMS = (
    "ttl",
    "expires_at",
    "idle_ttl",
    "idle_at",
    "reference",
    "unique_reference",
    "metadata",
    "late_messages",
    "language",
    "texts",
)
CHANGED_OF_PARTICIPANTS = ("number", "label", "one_way")
# Columns that have another name in the API.
_SHOWN_AS = {"is_reference_unique": "unique_reference"}

# Texts by their authors; relays and what they cost by recipient.
_SUMMARY = """
    SELECT
        (SELECT count(DISTINCT position) FROM conversations_participant WHERE conversation_id = %(conversation)s),
        (
            SELECT count(*) FROM conversations_inboundmessage WHERE participant_id IN (
                SELECT id FROM conversations_participant WHERE conversation_id = %(conversation)s
            )
        ),
        (
            SELECT count(*) FROM conversations_outboundmessage
            WHERE conversation_id = %(conversation)s AND kind IN ('relay', 'api')
        ),
        (
            SELECT count(*) FROM conversations_outboundmessage
            WHERE conversation_id = %(conversation)s AND kind IN ('relay', 'api') AND state = 'delivered'
        ),
        (
            SELECT sum(price) FROM conversations_outboundpart WHERE message_id IN (
                SELECT id FROM conversations_outboundmessage WHERE conversation_id = %(conversation)s
            )
        )
"""


def announce_end(
    type_: EventType, conversation_id: int, service_id: int | None, *, reason: str, duration: timedelta
) -> None:
    """Write that a conversation has ended, in the transaction that closes it."""
    data = _summary(conversation_id) | {
        "reason": reason,
        "duration": max(0, round(duration.total_seconds())),
    }
    record(NewEvent(type=type_, service_id=service_id, conversation_id=conversation_id, data=data))


def announce_change(conversation_id: int, service_id: int | None, *, columns: Iterable[str]) -> None:
    """Write which terms have changed, in the transaction that changes them."""
    record(
        NewEvent(
            type=EventType.CONVERSATION_CHANGED,
            service_id=service_id,
            conversation_id=conversation_id,
            data={"changed": [_SHOWN_AS.get(column, column) for column in columns]},
        )
    )


def announce_proxy_number(conversation_id: int, service_id: int | None, *, position: int, number: str) -> None:
    """Write that a participant has another virtual number, in the transaction that changes it. number: E.164."""
    record(
        NewEvent(
            type=EventType.PARTICIPANT_PROXY_NUMBER_CHANGED,
            service_id=service_id,
            conversation_id=conversation_id,
            participant=position,
            data={"proxy_number": number},
        )
    )


def _summary(conversation_id: int) -> dict[str, Any]:
    [(parties, received, relayed, delivered, cost)] = fetch_all(_SUMMARY, {"conversation": conversation_id})
    # SQLite sums decimals as floats.
    return {
        "parties": parties,
        "texts": {"received": received, "relayed": relayed, "delivered": delivered},
        "cost": str(Decimal(str(cost or 0)).quantize(Decimal("0.00001"))),
    }
