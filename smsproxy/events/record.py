"""Write events in the caller's transaction, so that a change and its event are stored together or not at all.

The statements are prepared, because a text writes four events on its way.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from smsproxy.database import prepared
from smsproxy.events.order import HOLD
from smsproxy.events.types import EventType

COLUMNS = "type, service_id, conversation_id, inbound_id, outbound_id, participant, data, created_at"
# The lock is taken before the first id is drawn: a row of the join comes first, and then its default values.
_INSERT = f"""
    WITH held AS MATERIALIZED (SELECT {HOLD})
    INSERT INTO events_feedevent ({COLUMNS})
    SELECT event.*, statement_timestamp() FROM held, ({{events}}) AS event
    RETURNING id
"""  # noqa: S608 - constants only
_INSERT_ON_SQLITE = f"""
    INSERT INTO events_feedevent ({COLUMNS})
    SELECT event.*, statement_timestamp() FROM ({{events}}) AS event
    RETURNING id
"""  # noqa: S608 - constants only
_VALUES = """
    SELECT
        column1, CAST(column2 AS bigint), CAST(column3 AS bigint), CAST(column4 AS bigint), CAST(column5 AS bigint),
        CAST(column6 AS smallint), CAST(column7 AS {json})
    FROM (VALUES {values}) AS given
"""


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event to write.

    service_id: the service that reads it; None: the keys of every service that have the scope `numbers`.
    participant: a position in the conversation. data: further values, without real numbers or texts.
    """

    type: EventType
    service_id: int | None
    conversation_id: int | None = None
    inbound_id: int | None = None
    outbound_id: int | None = None
    participant: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


def record(*events: NewEvent) -> None:
    """Write these events in this order. Call it in the transaction of the change that they are about.

    Events of a conversation are written while its row is locked: so their order is the order of the changes.
    """
    if not events:
        return
    values, parameters = prepared.values(
        (
            event.type.value,
            event.service_id,
            event.conversation_id,
            event.inbound_id,
            event.outbound_id,
            event.participant,
            json.dumps(event.data),
        )
        for event in events
    )
    record_selected(_VALUES.format(values=values, json=json_type()), parameters)


def record_selected(events: str, parameters: dict[str, Any]) -> None:
    """Write the events that this SELECT returns, in its order. Its columns are COLUMNS without the last.

    `data` is of the type `json_type`.
    """
    statement = _INSERT if prepared.is_postgresql() else _INSERT_ON_SQLITE
    prepared.fetch_all(statement.format(events=events), parameters)


def json_type() -> str:
    """Return the name of the SQL type of `data`."""
    return "jsonb" if prepared.is_postgresql() else "text"


def json_object() -> str:
    """Return the name of the SQL function that makes a JSON object of names and values."""
    return "jsonb_build_object" if prepared.is_postgresql() else "json_object"
