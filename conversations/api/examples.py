"""Examples of bodies, as the schema shows them. Tests compare them with the schema."""

from typing import Any

from smsproxy.phone import E164_EXAMPLE

AT = "2026-11-28T22:00:00.123456Z"
CONVERSATION_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

NEW_PARTICIPANT: dict[str, Any] = {"number": "+447700900005", "label": "Second driver", "notify": True}

NEW_CONVERSATION: dict[str, Any] = {
    "participants": [
        {"number": E164_EXAMPLE, "label": "Rider"},
        {"number": "+447700900002", "label": "Driver"},
    ],
    "reference": "order-42",
    "ttl": 86400,
    "metadata": {"order": 42},
}

PARTICIPANT: dict[str, Any] = {
    "position": 0,
    "label": "Rider",
    "side": None,
    "one_way": False,
    "number": E164_EXAMPLE,
    "country": "GB",
    "proxy_number": "+447700900100",
    "proxy_country": "GB",
    "chosen_by": "own country",
    "confirmation": {"status": "delivered", "at": AT},
}

CONVERSATION: dict[str, Any] = {
    "id": CONVERSATION_ID,
    "status": "open",
    "reference": "order-42",
    "unique_reference": False,
    "metadata": {"order": 42},
    "participants": [
        PARTICIPANT,
        PARTICIPANT | {"position": 1, "label": "Driver", "number": "+447700900002", "proxy_number": "+447700900101"},
    ],
    "pool": None,
    "geography": "prefer",
    "stickiness": None,
    "on_exhausted": None,
    "on_existing": None,
    "language": None,
    "texts": {},
    "late_messages": "end",
    "created_at": AT,
    "ttl": 86400,
    "expires_at": "2026-11-29T22:00:00.123456Z",
    "idle_ttl": None,
    "idle_at": None,
    "closed_at": None,
    "closed_reason": "",
    "reopened_at": None,
    "held_at": None,
    "notify": True,
    "notify_status": "delivered",
    "notify_failed": False,
    "last_message_at": None,
    "message_counts": {
        "received": 0,
        "relayed": 0,
        "from_api": 0,
        "queued": 0,
        "sent": 0,
        "delivered": 2,
        "undelivered": 0,
        "failed": 0,
        "unknown": 0,
        "cancelled": 0,
    },
}

DRY_RUN: dict[str, Any] = {
    "participants": [
        {
            "label": "Rider",
            "number": E164_EXAMPLE,
            "proxy_number": "+447700900100",
            "proxy_country": "GB",
            "chosen_by": "own country",
        }
    ]
}

BLOCK: dict[str, Any] = {
    "id": "8e6f0c3d-55a8-4e0e-9d2b-0a6f5f1f7c11",
    "status": "active",
    "number": E164_EXAMPLE,
    "other_number": None,
    "prefix": "",
    "reason": "Threats, reported by the driver.",
    "created_by": "api",
    "created_at": AT,
    "until": None,
    "ended_at": None,
    "ended_reason": "",
}

ROUTE: dict[str, Any] = {
    "outcome": "relayed",
    "why": "The pair belongs to participant 0, and the conversation is open.",
    "virtual_number": {"number": "+447700900100", "status": "active", "pool": None},
    "sender_is_known": True,
    "conversation": {"id": CONVERSATION_ID, "reference": "order-42", "pool": None, "status": "open"},
    "author": {"position": 0, "label": "Rider", "proxy_number": "+447700900100"},
    "recipients": [{"position": 1, "label": "Driver", "proxy_number": "+447700900101"}],
    "reopens": False,
    "cools_down_until": None,
    "last": None,
    "ways": [],
}
