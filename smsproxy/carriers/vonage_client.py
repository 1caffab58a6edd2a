"""The official SDK, with its traps closed: how a client is made and kept, and how its answers are read.

Tried with vonage 4.9.1; tests/test_vonage_transport.py shows each trap closed against a real TLS server.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from requests import Response
from vonage import Auth, HttpClientOptions, Vonage

from .base import AccountFault, CarrierError, OutcomeUnknown, Refused, TryLater
from .vonage_faults import http_fault, transport_fault

# How long a thread's idle connection is trusted, in seconds. Firewalls forget idle connections without telling, and a
# text that is written into a dead one has an unknown outcome.
IDLE = 30


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


# Below ERROR these print numbers, texts, URLs and the Authorization header. A filter, because unlike a level it still
# holds when somebody turns on DEBUG for everything.
for _name in (
    "vonage",
    "vonage_number_insight",
    "vonage_identity_insights",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.util.retry",
):
    logging.getLogger(_name).addFilter(_is_error)


def form_client() -> Vonage:
    """For the APIs that take forms. A JSON call would leave its Content-Type on all later forms of the same client."""
    # Never the signature secret: with it, the SDK signs each text, and wrongly.
    return _client(Auth(api_key=settings.VONAGE_API_KEY, api_secret=settings.VONAGE_API_SECRET))


def json_client() -> Vonage:
    """For the APIs that take JSON and want a token of the application."""
    auth = Auth(application_id=settings.VONAGE_APPLICATION_ID, private_key=settings.VONAGE_PRIVATE_KEY)
    auth.create_jwt_auth_string()  # Only in use does a key show that it is none.
    return _client(auth)


def _client(auth: Auth) -> Vonage:
    client = Vonage(
        auth,
        HttpClientOptions(
            api_host=settings.VONAGE_API_HOST,
            rest_host=settings.VONAGE_REST_HOST,
            timeout=settings.CARRIER_TIMEOUT,  # None, the default, waits forever.
            # The SDK also takes this for how often to repeat a request, a text too, when the server hangs up.
            pool_maxsize=1,
            max_retries=0,
        ),
    )
    # Followed, a redirect would carry texts and numbers to wherever it says. The SDK has no option for it.
    client.http_client._session.max_redirects = 0
    return client


class ThreadClient(threading.local):
    """A thread's own client: the SDK's keeps its headers and its last answer in attributes, and so mixes them up."""

    def __init__(self, make: Callable[[], Vonage]) -> None:
        self._make = make
        self._client: Vonage | None = None
        self._pid = 0
        self._used_at = 0.0

    def get(self) -> Vonage:
        now = time.monotonic()
        # After a fork, parent and child would write into the same connection.
        if self._client is None or self._pid != os.getpid() or now - self._used_at > IDLE:
            self._client = self._made()
            self._pid = os.getpid()
        self._used_at = now
        return self._client

    def _made(self) -> Vonage:
        try:
            return self._make()
        except Exception:  # noqa: BLE001 - the SDK has no common base for what is wrong with credentials
            fault = AccountFault("the Vonage credentials or hosts in the settings cannot be used")
        # Outside of `except`, so that the cause, which can quote a key, does not hang on as __context__.
        raise fault


def build(model: type, **values: object) -> Any:
    """One of the SDK's request objects. What it does not take is refused here, and was never sent."""
    try:
        return model(**values)
    except Exception:  # noqa: BLE001 - pydantic's error, which quotes the values, or one of the SDK's
        fault = Refused("the SDK does not take this request")
    raise fault


def ask(client: Vonage, call: Callable[[], object]) -> Response:
    """Let the SDK make one call, and return Vonage's answer, whatever the SDK made of it.

    The SDK raises a dozen kinds of exceptions, with numbers and texts in them, and some after a text was accepted. So
    only the answer itself is believed. Raises CarrierError if there is none.
    """
    before = client.http_client.last_response
    fault: CarrierError | None = None
    try:
        call()
    except Exception as error:  # noqa: BLE001 - see above
        fault = transport_fault(error)
    answer: Response | None = client.http_client.last_response
    # Still the one from before: this call had none.
    if answer is None or answer is before:
        raise fault or OutcomeUnknown("no answer")
    return answer


def body_of(answer: Response) -> dict[str, Any]:
    """The JSON object of a 2xx answer; raises what any other answer means."""
    if not 200 <= answer.status_code < 300:
        raise http_fault(answer.status_code, answer.headers.get("Retry-After", ""))
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise OutcomeUnknown("an answer that cannot be read")
    return body


def read(client: Vonage, call: Callable[[], object]) -> dict[str, Any]:
    """The body of the answer to a question. Asking again is harmless, so no outcome is unknown."""
    try:
        return body_of(ask(client, call))
    except OutcomeUnknown as fault:
        later = TryLater(fault.detail, code=fault.code)
    raise later
