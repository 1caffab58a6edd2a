"""The two webhooks through which Vonage reaches us: where every inbound text and every delivery receipt enters.

| situation                            | answer                                                         |
|--------------------------------------|----------------------------------------------------------------|
| empty, unsigned GET                  | 200: Vonage tries the address before it takes it               |
| signature missing, wrong or too old  | 401, and only a counter is kept                                |
| signed, new                          | 200, once it is committed                                      |
| signed, seen before                  | 200, no effect                                                 |
| signed, not of a shape we understand | 200, kept as `undecodable`: sending it again would not help    |
| a part of the body is missing        | 503, so that Vonage sends it again                             |
| the database does not answer, or not soon enough | 503, so that Vonage sends it again             |
| our fault                            | 500, so that Vonage sends it again                             |
"""

import json
import logging
from functools import partial
from urllib.parse import parse_qsl

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from rest_framework.request import Request
from rest_framework.views import APIView

from conversations.delivery import receipts
from conversations.intake import long_messages, receive
from conversations.webhooks import rejected
from smsproxy.api.parsers import BodyTooLarge, read_bounded
from smsproxy.carriers.vonage.signature import BadSignature, collect, verify
from smsproxy.carriers.vonage.webhooks import Undecodable, parse_inbound, parse_receipt
from smsproxy.crypto import keyed_hash
from smsproxy.database.deadline import run_with_deadline

log = logging.getLogger(__name__)

# Seconds for the database. Vonage gives us 15 in all, some of which a request may have waited for its turn.
DATABASE_TIMEOUT = 5.0

_MAX_FIELDS = 100


class MalformedRequest(Exception):
    """The parameters cannot be read, so nobody can have signed them."""


class Webhook(APIView):
    """Read, verify, take in. A subclass says what to take in."""

    authentication_classes = ()
    permission_classes = ()
    endpoint = ""

    def get(self, request: Request) -> HttpResponse:
        if not request.META.get("QUERY_STRING"):
            return _answer(200)
        return self._handle(request._request)

    def post(self, request: Request) -> HttpResponse:
        return self._handle(request._request)

    def _handle(self, request: HttpRequest) -> HttpResponse:
        try:
            params = read_parameters(request)
            if settings.VONAGE_SIGNATURE_SECRETS or not settings.ALLOW_UNSIGNED_WEBHOOKS:
                verify(
                    params,
                    secrets=settings.VONAGE_SIGNATURE_SECRETS,
                    method=settings.VONAGE_SIGNATURE_METHOD,
                    max_age=settings.WEBHOOK_MAX_AGE_SECONDS,
                )
        except BadSignature as error:
            return self._reject(error.reason)
        except MalformedRequest:
            return self._reject("unreadable")
        except UnreadablePostError:
            return _answer(503)
        try:
            run_with_deadline(partial(self._take_in, params), seconds=DATABASE_TIMEOUT)
        except (DatabaseError, InterfaceError) as error:
            # The error's text may hold values: only its kind is told, such as DeadlockDetected.
            kind = type(error.__cause__ or error).__name__
            log.error("a webhook at %s could not be taken in: %s", self.endpoint, kind)  # noqa: TRY400
            return _answer(503)
        return _answer(200)

    def process(self, params: dict[str, str]) -> None:
        """Returns once it is committed. Raises Undecodable. Done twice, it has the effect of once."""
        raise NotImplementedError

    def _take_in(self, params: dict[str, str]) -> None:
        try:
            self.process(params)
        except Undecodable as error:
            log.warning("a webhook at %s is not of a known shape: %s", self.endpoint, error.reason)
            receive.store_undecodable(_content_id(params), _raw(params), f"{self.endpoint}: {error.reason}")

    def _reject(self, reason: str) -> HttpResponse:
        rejected.count(self.endpoint, reason)
        return _answer(401)


class InboundSmsWebhook(Webhook):
    endpoint = "inbound-sms"

    def process(self, params: dict[str, str]) -> None:
        text = parse_inbound(params)
        take_in = long_messages.take_in if text.parts > 1 else receive.receive
        take_in(text, raw=_raw(params))


class DeliveryReceiptWebhook(Webhook):
    endpoint = "delivery-receipt"

    def process(self, params: dict[str, str]) -> None:
        receipts.receive_receipt(parse_receipt(params))


def read_parameters(request: HttpRequest) -> dict[str, str]:
    """The parameters of a GET from its query, of a POST from its body, never mixed.

    Raises BadSignature, Unreadable; UnreadablePostError if the body did not arrive in whole.
    """
    if request.method == "GET":
        return collect(_pairs(request.META["QUERY_STRING"].encode("latin-1", "replace")))
    try:
        body = read_bounded(request)
    except BodyTooLarge:
        raise MalformedRequest from None
    if request.content_type == "application/json":
        try:
            params = json.loads(body, object_pairs_hook=collect)
        except (ValueError, RecursionError):
            raise MalformedRequest from None
        if not isinstance(params, dict):
            raise MalformedRequest
        return params
    return collect(_pairs(body))


def _answer(status: int) -> HttpResponse:
    headers = {"Content-Length": "0"}
    if status == 503:
        headers["Retry-After"] = "5"
    return HttpResponse(status=status, headers=headers)


def _pairs(encoded: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            encoded.decode("ascii", "replace"), keep_blank_values=True, errors="replace", max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        raise MalformedRequest from None


def _raw(params: dict[str, str]) -> str:
    return json.dumps({key: value for key, value in params.items() if key != "sig"})


def _content_id(params: dict[str, str]) -> str:
    """An id for a webhook without a usable one, the same when it is sent again."""
    lasting = {key: value for key, value in params.items() if key not in ("sig", "timestamp", "nonce")}
    # Keyed, since it is stored as it is, and a plain hash of a number and a short text could be guessed.
    return f"keyed:{keyed_hash(json.dumps(lasting, sort_keys=True))}"
