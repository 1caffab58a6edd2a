"""Events of the feed about outbound messages. Messages outside of conversations, such as to strangers, have none."""

import json
from collections.abc import Iterable
from functools import cache

from psycopg.types.numeric import Int8

from smsproxy.database import prepared
from smsproxy.events.record import json_object, record_selected
from smsproxy.events.types import EventType

from .outbound_counts import FailureReason
from .outbound_state import MessageKind, OutboundState

# By the new state of a message. A message that is queued or being sent is told of by other events, or by none.
_TYPES = {
    OutboundState.SENT: EventType.MESSAGE_SENT,
    OutboundState.DELIVERED: EventType.MESSAGE_DELIVERED,
    OutboundState.UNDELIVERED: EventType.MESSAGE_UNDELIVERED,
    OutboundState.FAILED: EventType.MESSAGE_FAILED,
    OutboundState.UNKNOWN: EventType.MESSAGE_UNKNOWN,
    OutboundState.CANCELLED: EventType.MESSAGE_CANCELLED,
}
# In the order of sending.
_EVENTS = """
    SELECT
        '{type}',
        (SELECT service_id FROM conversations_conversation WHERE id = message.conversation_id),
        message.conversation_id, message.inbound_id, message.id,
        (SELECT position FROM conversations_participant WHERE id = message.participant_id),
        {data}
    FROM conversations_outboundmessage message
    WHERE message.id {which} AND message.conversation_id IS NOT NULL
    ORDER BY message.id
"""
_DATA = (
    "CASE WHEN message.kind = 'relay' THEN {empty}"
    " ELSE {json}('kind', message.kind, 'api_message', message.api_message_id) END"
)
_DATA_OF_FAILURE = (
    "{json}('kind', message.kind, 'api_message', message.api_message_id,"
    " 'class', {failure}, 'code', message.error_code)"
)


def announce(pks: Iterable[int], state: str, failure: FailureReason | None = None) -> None:
    """Write the events of messages that have just come to this state, in the caller's transaction."""
    event = _TYPES.get(OutboundState(state))
    ids = list(pks)
    if event is None or not ids:
        return
    select = _select(event, failure, is_one=len(ids) == 1, is_postgresql=prepared.is_postgresql())
    listed = ",".join(map(str, ids))
    # PostgreSQL looks up an array in the index. It would join a list of rows with the whole table.
    several = f"{{{listed}}}" if prepared.is_postgresql() else f"[{listed}]"
    record_selected(select, {"pk": Int8(ids[0])} if len(ids) == 1 else {"pks": several})


def data_of(kind: str, api_message_id: int | None) -> str:
    """Return the JSON of a message that has not failed. A relay is what is not said."""
    return "{}" if kind == MessageKind.RELAY else json.dumps({"kind": kind, "api_message": api_message_id})


@cache
def _select(event: EventType, failure: FailureReason | None, *, is_one: bool, is_postgresql: bool) -> str:
    several = "= ANY (%(pks)s::bigint[])" if is_postgresql else "IN (SELECT value FROM json_each(%(pks)s))"
    data = _DATA_OF_FAILURE if event in (EventType.MESSAGE_UNDELIVERED, EventType.MESSAGE_FAILED) else _DATA
    return _EVENTS.format(
        type=event.value,
        which="= %(pk)s" if is_one else several,
        data=data.format(
            json=json_object(),
            empty="'{}'::jsonb" if is_postgresql else "'{}'",
            failure=f"'{failure.value}'" if failure else "NULL",
        ),
    )
