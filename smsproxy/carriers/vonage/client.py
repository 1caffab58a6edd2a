"""Clients of the official SDK without its traps, and how their answers are read.

Tested with vonage 4.9.1. tests/carriers/test_vonage_transport.py has a test against a real TLS server for each trap.
"""

import logging
import os
import ssl
import threading
import time
from collections.abc import Callable
from functools import cache, cached_property
from importlib.metadata import version
from typing import Any
from urllib.parse import urlencode

import requests
from certifi import where
from django.conf import settings
from requests import Response
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.util.ssl_ import create_urllib3_context
from vonage_http_client import Auth, HttpClient, HttpClientOptions
from vonage_identity_insights import IdentityInsights
from vonage_number_insight import NumberInsight
from vonage_numbers import Numbers
from vonage_sms import Sms

from smsproxy.carriers.base import AccountFault, CarrierError, OutcomeUnknown, PermanentFailure, TemporaryFailure
from smsproxy.carriers.vonage.faults import http_fault, transport_fault

# Seconds for which a thread reuses an idle connection. Firewalls drop idle connections silently, and a message written
# into a dead one has an unknown outcome.
IDLE = 30


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


# Below ERROR these loggers print numbers, texts, URLs and the Authorization header. Unlike a level, a filter also holds
# when DEBUG is turned on for all loggers.
for _name in (
    "vonage",
    "vonage_number_insight",
    "vonage_identity_insights",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.util.retry",
):
    logging.getLogger(_name).addFilter(_is_error)


class Client:
    """The parts of the SDK that we use, over one connection.

    The SDK's class `Vonage` also imports video, voice and a dozen more, which takes 10 MB.
    """

    def __init__(self, auth: Auth, options: HttpClientOptions) -> None:
        self.http_client = HttpClient(auth, options, version("vonage"))
        self.http_client._session = DirectSession(settings.VONAGE_REST_HOST)
        self.sms = Sms(self.http_client)

    @cached_property
    def numbers(self) -> Any:
        return Numbers(self.http_client)

    @cached_property
    def number_insight(self) -> Any:
        return NumberInsight(self.http_client)

    @cached_property
    def identity_insights(self) -> Any:
        return IdentityInsights(self.http_client)


def form_client() -> Client:
    """Return a client for the APIs that take forms.

    A client keeps the Content-Type of a JSON call for all its later forms, so JSON has a client of its own.
    """
    # Without the signature secret: with it, the SDK signs each message, and does so wrongly.
    return _client(Auth(api_key=settings.VONAGE_API_KEY, api_secret=settings.VONAGE_API_SECRET))


def json_client() -> Client:
    """Return a client for the APIs that take JSON and a token of the application."""
    auth = Auth(application_id=settings.VONAGE_APPLICATION_ID, private_key=settings.VONAGE_PRIVATE_KEY)
    auth.create_jwt_auth_string()  # Fails here if the key is not valid, not at the first call.
    return _client(auth)


def _client(auth: Auth) -> Client:
    options = HttpClientOptions(
        api_host=settings.VONAGE_API_HOST,
        rest_host=settings.VONAGE_REST_HOST,
        timeout=settings.CARRIER_TIMEOUT_SECONDS,  # The default, None, waits forever.
        # The SDK also uses this as its number of retries, even of a message, when the server hangs up.
        pool_maxsize=1,
        max_retries=0,
    )
    return Client(auth, options)


@cache
def _trust(certificates: str) -> ssl.SSLContext:
    """Return the TLS context that the connections of all threads share. Each copy of the certificates takes a megabyte.

    certificates: the path of a file or of a folder.
    """
    context = create_urllib3_context()
    is_folder = os.path.isdir(certificates)
    context.load_verify_locations(**{"capath" if is_folder else "cafile": certificates})
    return context


class SharedTlsAdapter(HTTPAdapter):
    """One connection, without retries, that trusts only what `context` trusts."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **options)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        pass


class DirectSession(requests.Session):
    """A session that passes forms to its adapter directly.

    Cookies, redirects and .netrc, which requests handles as a browser would, are not needed here. They take most of
    the time of sending a message. Proxies and certificates are read from the environment once, for the host of the SMS
    API.
    """

    def __init__(self, host: str) -> None:
        super().__init__()
        self._environment: Any = self.merge_environment_settings(f"https://{host}/", {}, False, None, None)
        trusted = self._environment["verify"]
        self._environment["verify"] = True
        self._adapter = SharedTlsAdapter(_trust(where() if trusted is True else trusted))
        self.mount("https://", self._adapter)
        # A redirect, if followed, could send texts and numbers to any host. The SDK has no option for this.
        self.max_redirects = 0

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> Response:
        if method != "POST" or not options.get("data"):
            return super().request(method, url, *args, **options)
        form = urlencode([(key, value) for key, value in options["data"].items() if value is not None])
        request = requests.PreparedRequest()
        request.method, request.url, request.body = method, url, form
        about = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(form))}
        request.headers = CaseInsensitiveDict({**options["headers"], **about})
        answer = self._adapter.send(request, timeout=options["timeout"], **self._environment)
        answer.content  # noqa: B018 - a failure to read it must be a failure of this call
        return answer


class ThreadClient(threading.local):
    """A client per thread: the SDK keeps headers and the last answer in attributes of the client."""

    def __init__(self, make: Callable[[], Client]) -> None:
        self._make = make
        self._client: Client | None = None
        self._pid = 0
        self._used_at = 0.0

    def get(self) -> Client:
        now = time.monotonic()
        # After a fork, parent and child would share a connection.
        if self._client is None or self._pid != os.getpid() or now - self._used_at > IDLE:
            self._client = self._made()
            self._pid = os.getpid()
        self._used_at = now
        return self._client

    def _made(self) -> Client:
        try:
            return self._make()
        except Exception:  # noqa: BLE001 - the SDK's errors for bad credentials have no common base
            fault = AccountFault("the Vonage credentials or hosts in the settings cannot be used")
        # Outside of `except`, so that the cause, which can quote a key, does not become __context__.
        raise fault


def build(model: type, **values: object) -> Any:
    """Return a request object of the SDK. Raise PermanentFailure if the SDK rejects the values: nothing was sent."""
    try:
        return model(**values)
    except Exception:  # noqa: BLE001 - pydantic's error, which quotes the values, or one of the SDK's
        fault = PermanentFailure("the SDK does not take this request")
    raise fault


def ask(client: Client, call: Callable[[], object]) -> Response:
    """Let the SDK make one call, and return Vonage's answer even if the SDK raises. Raise CarrierError without one.

    The SDK raises a dozen kinds of exceptions with numbers and texts in them, some after a message was accepted. So
    only the answer itself counts.
    """
    before = client.http_client.last_response
    fault: CarrierError | None = None
    try:
        call()
    except Exception as error:  # noqa: BLE001 - see above
        fault = transport_fault(error)
    answer: Response | None = client.http_client.last_response
    # Still the answer to the call before: this call got none.
    if answer is None or answer is before:
        raise fault or OutcomeUnknown("no answer")
    return answer


def body_of(answer: Response, fault: Callable[[int, str], CarrierError] = http_fault) -> dict[str, Any]:
    """Return the JSON object of a 2xx answer. For any other, raise the error that `fault` returns."""
    if not 200 <= answer.status_code < 300:
        raise fault(answer.status_code, answer.headers.get("Retry-After", ""))
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise OutcomeUnknown("an answer that cannot be read")
    return body


def read(client: Client, call: Callable[[], object]) -> dict[str, Any]:
    """Return the body of the answer to a read. A retry is harmless, so an unknown outcome becomes TemporaryFailure."""
    try:
        return body_of(ask(client, call))
    except OutcomeUnknown as fault:
        later = TemporaryFailure(fault.detail, code=fault.code)
    raise later
