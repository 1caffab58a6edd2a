"""Vonage's Reports API: what became of the messages that Vonage received from us in a window of time.

A window is at most 24 hours long and ends in the past. Vonage charges for each record, each time that it is requested.
A filter by client_ref is documented only for asynchronous reports, which take minutes.
"""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.conf import settings
from requests import Response

from smsproxy.carriers.base import CarrierError, OutcomeUnknown, SentPage, SentRecord, TemporaryFailure
from smsproxy.carriers.vonage.client import Client
from smsproxy.carriers.vonage.faults import reports_http_fault, transport_fault
from smsproxy.carriers.vonage.fields import read_money
from smsproxy.carriers.vonage.webhooks import read_error_code, read_status

# A page has up to 1,000 records of about 600 bytes.
MAX_BYTES = 8_000_000
# Seconds for a whole answer. CARRIER_TIMEOUT_SECONDS bounds only each piece of it.
MAX_SECONDS = 60.0

_ID = re.compile(r"[\x21-\x7e]{1,64}")
_CLIENT_REF = re.compile(r"[\x21-\x7e]{1,100}")


def find_sent(client: Client, start: datetime, end: datetime, cursor: str) -> SentPage:
    """Return one page of records. Raise CarrierError without one: a retry is harmless."""
    query = {
        "account_id": settings.VONAGE_API_KEY,
        "product": "SMS",
        "direction": "outbound",
        # In whole seconds, rounded away from each other.
        "date_start": _moment(start),
        "date_end": _moment(end + timedelta(seconds=1, microseconds=-1)),
        "include_message": "false",
    }
    # Vonage's own link to the next page lacks date_start, so only its cursor is used. No link is ever followed.
    body = _get(client, query | dict(parse_qsl(cursor)))
    records, status = body.get("records"), body.get("request_status", "SUCCESS")
    if not isinstance(records, list) or status not in ("SUCCESS", "TRUNCATED"):
        raise TemporaryFailure("a report that is not complete")
    found = (_record(entry) for entry in records)
    return SentPage(records=tuple(filter(None, found)), next_cursor=_next_cursor(body))


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _next_cursor(body: dict[str, Any]) -> str:
    """Return the cursor and its initialization vector as a query string, "" after the last page."""
    links = body.get("_links")
    following = links.get("next") if isinstance(links, dict) else None
    if not following and body.get("request_status") != "TRUNCATED":
        return ""
    href = str(following.get("href", "")) if isinstance(following, dict) else ""
    try:
        of_link = dict(parse_qsl(urlsplit(href).query))
    except ValueError:
        of_link = {}
    found = {name: body.get(name) or of_link.get(name) for name in ("cursor", "iv")}
    if not isinstance(found["cursor"], str):
        raise TemporaryFailure("a report with more pages, and no cursor to them")
    return urlencode({name: value for name, value in found.items() if isinstance(value, str)})


def _record(entry: object) -> SentRecord | None:
    """Return the record, or None for one that names no reference or is of another account."""
    if not isinstance(entry, dict) or entry.get("account_id", settings.VONAGE_API_KEY) != settings.VONAGE_API_KEY:
        return None
    client_ref, message_id = entry.get("client_ref"), entry.get("message_id")
    if not (isinstance(client_ref, str) and _CLIENT_REF.fullmatch(client_ref)):
        return None
    is_known = isinstance(message_id, str) and _ID.fullmatch(message_id)
    return SentRecord(
        # Even without an id, the record shows that Vonage received the message.
        carrier_message_id=str(message_id) if is_known else client_ref,
        client_ref=client_ref,
        status=read_status(str(entry.get("status"))),
        error_code=read_error_code(str(entry.get("error_code") or "")),
        price=read_money(entry.get("total_price")) if entry.get("currency") == "EUR" else None,
    )


def _get(client: Client, query: dict[str, str]) -> dict[str, Any]:
    """Return the JSON object of the answer. The SDK has no part for this API, and would read an answer of any size."""
    fault: CarrierError | None = None
    text = b""
    try:
        with client.http_client._session.get(
            f"https://{settings.VONAGE_API_HOST}/v2/reports/records",
            params=query,
            # Explicit: otherwise a .netrc file could replace it.
            auth=(settings.VONAGE_API_KEY, settings.VONAGE_API_SECRET),
            headers={"Accept": "application/json", "User-Agent": client.http_client.user_agent},
            timeout=settings.CARRIER_TIMEOUT_SECONDS,
            allow_redirects=False,
            stream=True,
        ) as answer:
            if answer.status_code == 200:
                text = _read(answer)
            else:
                fault = reports_http_fault(answer.status_code, answer.headers.get("Retry-After", ""))
    except CarrierError as error:
        fault = error
    except Exception as error:  # noqa: BLE001 - of requests, of urllib3, of the standard library
        fault = transport_fault(error)
    # Outside of `except`, so that the cause, which can quote the URL, does not become __context__.
    if isinstance(fault, OutcomeUnknown):
        fault = TemporaryFailure(fault.detail, code=fault.code)
    if fault:
        raise fault
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise TemporaryFailure("an answer that cannot be read")
    return body


def _read(answer: Response) -> bytes:
    text, end = bytearray(), time.monotonic() + MAX_SECONDS
    for piece in answer.iter_content(65536):
        text += piece
        if len(text) > MAX_BYTES or time.monotonic() > end:
            raise TemporaryFailure(f"a report of more than {MAX_BYTES:,} bytes, or {MAX_SECONDS:.0f} seconds")
    return bytes(text)
