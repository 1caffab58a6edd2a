"""The official SDK, with its traps closed: how a client is made and kept, and how its answers are read.

Tried with vonage 4.9.1; tests/carriers/test_vonage_transport.py shows each trap closed against a real TLS server.
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


class Client:
    """The parts of the SDK that we use, over one connection. Its own class `Vonage` brings in video, voice and a dozen
    more, for 10 MB."""

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
    """For the APIs that take forms. A JSON call would leave its Content-Type on all later forms of the same client."""
    # Never the signature secret: with it, the SDK signs each text, and wrongly.
    return _client(Auth(api_key=settings.VONAGE_API_KEY, api_secret=settings.VONAGE_API_SECRET))


def json_client() -> Client:
    """For the APIs that take JSON and want a token of the application."""
    auth = Auth(application_id=settings.VONAGE_APPLICATION_ID, private_key=settings.VONAGE_PRIVATE_KEY)
    auth.create_jwt_auth_string()  # Only in use does a key show that it is none.
    return _client(auth)


def _client(auth: Auth) -> Client:
    options = HttpClientOptions(
        api_host=settings.VONAGE_API_HOST,
        rest_host=settings.VONAGE_REST_HOST,
        timeout=settings.CARRIER_TIMEOUT_SECONDS,  # None, the default, waits forever.
        # The SDK also takes this for how often to repeat a request, a text too, when the server hangs up.
        pool_maxsize=1,
        max_retries=0,
    )
    return Client(auth, options)


@cache
def _trust(certificates: str) -> ssl.SSLContext:
    """What every thread's connections trust. Each with a context of its own would hold all the world's certificates,
    a megabyte of them.

    certificates: the path of a file, or of a folder.
    """
    context = create_urllib3_context()
    is_folder = os.path.isdir(certificates)
    context.load_verify_locations(**{"capath" if is_folder else "cafile": certificates})
    return context


class SharedTlsAdapter(HTTPAdapter):
    """One connection, and no repeats; it trusts what `context` does, and is not told anything else."""

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
    """A session for forms that hands them to its adapter directly: of what requests does for a browser's sake, cookies,
    redirects, .netrc, nothing is wanted here, and it takes most of the time of sending a text.

    What the environment says of proxies and certificates is read once, for the host of the texts.
    """

    def __init__(self, host: str) -> None:
        super().__init__()
        self._environment: Any = self.merge_environment_settings(f"https://{host}/", {}, False, None, None)
        trusted = self._environment["verify"]
        self._environment["verify"] = True
        self._adapter = SharedTlsAdapter(_trust(where() if trusted is True else trusted))
        self.mount("https://", self._adapter)
        # Followed, a redirect would carry texts and numbers to wherever it says. The SDK has no option for it.
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
        answer.content  # noqa: B018 - read it here, where a failure is still one of the call
        return answer


class ThreadClient(threading.local):
    """A thread's own client: the SDK's keeps its headers and its last answer in attributes, and so mixes them up."""

    def __init__(self, make: Callable[[], Client]) -> None:
        self._make = make
        self._client: Client | None = None
        self._pid = 0
        self._used_at = 0.0

    def get(self) -> Client:
        now = time.monotonic()
        # After a fork, parent and child would write into the same connection.
        if self._client is None or self._pid != os.getpid() or now - self._used_at > IDLE:
            self._client = self._made()
            self._pid = os.getpid()
        self._used_at = now
        return self._client

    def _made(self) -> Client:
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
        fault = PermanentFailure("the SDK does not take this request")
    raise fault


def ask(client: Client, call: Callable[[], object]) -> Response:
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


def body_of(answer: Response, fault: Callable[[int, str], CarrierError] = http_fault) -> dict[str, Any]:
    """The JSON object of a 2xx answer; raises what any other answer means, by `fault`."""
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
    """The body of the answer to a question. Asking again is harmless, so no outcome is unknown."""
    try:
        return body_of(ask(client, call))
    except OutcomeUnknown as fault:
        later = TemporaryFailure(fault.detail, code=fault.code)
    raise later
