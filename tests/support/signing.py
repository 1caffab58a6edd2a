"""Webhooks as Vonage sends them: a recorded body with changes, the current time, and a signature."""

import json
import math
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from smsproxy.carriers.vonage.signature import sign

PAYLOADS = Path(__file__).parent.parent / "payloads"


def payload(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text())
    return found


def signed(params: dict[str, str]) -> dict[str, str]:
    return {**params, "sig": sign(params, settings.VONAGE_SIGNATURE_SECRETS[0], settings.VONAGE_SIGNATURE_METHOD)}


def signed_inbound(**overrides: str | None) -> dict[str, str]:
    """Return a signed inbound webhook. `api_key="x"` changes the field "api-key"; None leaves a field out."""
    return signed(_changed("inbound", overrides))


def signed_receipt(**overrides: str | None) -> dict[str, str]:
    """Return a signed delivery receipt, with changes as in signed_inbound."""
    return signed(_changed("receipt", overrides))


def _changed(name: str, overrides: dict[str, str | None]) -> dict[str, str]:
    now = time.time()
    # Rounded up: rounded down, it could be before a conversation that a test has just created.
    sent_at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(math.ceil(now)))
    params = {**payload(name), "message-timestamp": sent_at, "timestamp": str(int(now))}
    params |= {key.replace("_", "-"): value for key, value in overrides.items()}
    return {key: value for key, value in params.items() if value is not None}
