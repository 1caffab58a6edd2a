"""The earliest moments at which texts, messages and events may go, by the settings that still need them."""

from collections.abc import Mapping
from typing import Any

from smsproxy.environment import Environment

DAY = 24 * 3600
# Vonage repeats a webhook that we did not acknowledge for up to three days.
CARRIER_REPEATS = 3 * DAY
# The budget of a top-up is counted by the events of numbers since the first day of the month.
LONGEST_MONTH = 31 * DAY
# While a repeated part of a long message is recognised: see DUPLICATE_WINDOW in conversations/intake/long_messages.py.
_DUPLICATE_WINDOW = 600


def check_retention(env: Environment, settings: Mapping[str, Any]) -> None:
    """Keep an error for each retention time that would delete what is still needed. settings: by name, in seconds."""
    sending = settings["MESSAGE_MAX_AGE_SECONDS"] + settings["SEND_LEASE_SECONDS"]
    long_message = settings["LONG_MESSAGE_TIMEOUT_SECONDS"] + _DUPLICATE_WINDOW
    repeats = max(CARRIER_REPEATS, settings["WEBHOOK_MAX_AGE_SECONDS"])
    message = max(repeats + sending + long_message, settings["HEALTH_WINDOW_SECONDS"])
    _require(
        env,
        settings,
        "TEXT_RETENTION_SECONDS",
        sending + long_message,
        "MESSAGE_MAX_AGE_SECONDS, SEND_LEASE_SECONDS, LONG_MESSAGE_TIMEOUT_SECONDS and ten minutes together",
        "Until then the text may have to be sent.",
    )
    _require(
        env,
        settings,
        "MESSAGE_RETENTION_SECONDS",
        message,
        "HEALTH_WINDOW_SECONDS, and more than MESSAGE_MAX_AGE_SECONDS, SEND_LEASE_SECONDS, "
        "LONG_MESSAGE_TIMEOUT_SECONDS, ten minutes, and the larger of WEBHOOK_MAX_AGE_SECONDS and three days together",
        "Until then the carrier may repeat the message, or report on it.",
    )
    _require(
        env,
        settings,
        "EVENT_RETENTION_SECONDS",
        max(message, LONGEST_MONTH),
        "31 days, and what MESSAGE_RETENTION_SECONDS needs at least",
        "Until then the budget of a month, the health of numbers and repeated receipts need them.",
    )


def _require(env: Environment, settings: Mapping[str, Any], name: str, needed: int, what: str, why: str) -> None:
    found = settings[name]
    env.require(
        not 0 < found <= needed, f"{name}: expected 0, or more than {what} ({needed} seconds), found {found}. {why}"
    )
