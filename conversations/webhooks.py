"""The two webhooks through which Vonage reaches us: where every inbound text and every delivery receipt enters.

| situation                            | answer                                                         |
|--------------------------------------|----------------------------------------------------------------|
| empty, unsigned GET                  | 200: Vonage tries the address before it takes it               |
| signature missing, wrong or too old  | 401, and only a counter is kept                                |
| signed, new                          | 200, once it is committed                                      |
| signed, seen before                  | 200, no effect                                                 |
| signed, not of a shape we understand | 200, kept as `undecodable`: sending it again would not help    |
| a part of the body is missing        | 503, so that Vonage sends it again                             |
| our fault                            | 503 or 500, so that Vonage sends it again                      |
"""

import json
import logging
from urllib.parse import parse_qsl

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest
from django.http.request import UnreadablePostError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from conversations import inbound, receipts
from conversations.models import RejectedWebhook
from smsproxy.api.parsers import BodyTooLarge, read_bounded
from smsproxy.carriers.signature import BadSignature, collect, verify
from smsproxy.carriers.webhooks import Undecodable, parse_inbound, parse_receipt
from smsproxy.crypto import keyed_hash

log = logging.getLogger(__name__)

_MOST_FIELDS = 100


class Unreadable(Exception):
    """The parameters cannot be read, so nobody can have signed them."""


class Webhook(APIView):
    """Read, verify, take in. A subclass says what to take in."""

    authentication_classes = ()
    permission_classes = ()
    endpoint = ""

    def get(self, request: Request) -> Response:
        if not request.META.get("QUERY_STRING"):
            return Response()
        return self._handle(request._request)

    def post(self, request: Request) -> Response:
        return self._handle(request._request)

    def _handle(self, request: HttpRequest) -> Response:
        try:
            params = read_parameters(request)
            if settings.VONAGE_SIGNATURE_SECRETS or not settings.ALLOW_UNSIGNED_WEBHOOKS:
                verify(
                    params,
                    secrets=settings.VONAGE_SIGNATURE_SECRETS,
                    method=settings.VONAGE_SIGNATURE_METHOD,
                    max_age=settings.SIGNATURE_MAX_AGE,
                )
        except BadSignature as error:
            return self._reject(error.reason)
        except Unreadable:
            return self._reject("unreadable")
        except UnreadablePostError:
            return Response(status=503)
        try:
            self.take_in(params)
        except Undecodable as error:
            log.warning("a webhook at %s is not of a known shape: %s", self.endpoint, error.reason)
            inbound.keep_undecodable(_digest(params), _raw(params), f"{self.endpoint}: {error.reason}")
        return Response()

    def take_in(self, params: dict[str, str]) -> None:
        """Returns once it is committed. Raises Undecodable."""
        raise NotImplementedError

    def _reject(self, reason: str) -> Response:
        try:
            RejectedWebhook.objects.count_one(self.endpoint, reason)
        except (DatabaseError, InterfaceError):
            log.warning("a rejected webhook could not be counted")  # The answer is the same without a database.
        return Response(status=401)


class InboundSmsWebhook(Webhook):
    endpoint = "inbound-sms"

    def take_in(self, params: dict[str, str]) -> None:
        inbound.receive(parse_inbound(params), raw=_raw(params))


class DeliveryReceiptWebhook(Webhook):
    endpoint = "delivery-receipt"

    def take_in(self, params: dict[str, str]) -> None:
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
        raise Unreadable from None
    if request.content_type == "application/json":
        try:
            params = json.loads(body, object_pairs_hook=collect)
        except (ValueError, RecursionError):
            raise Unreadable from None
        if not isinstance(params, dict):
            raise Unreadable
        return params
    return collect(_pairs(body))


def _pairs(encoded: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            encoded.decode("ascii", "replace"), keep_blank_values=True, errors="replace", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise Unreadable from None


def _raw(params: dict[str, str]) -> str:
    return json.dumps({key: value for key, value in params.items() if key != "sig"})


def _digest(params: dict[str, str]) -> str:
    """An id for a webhook without a usable one, the same when it is sent again."""
    lasting = {key: value for key, value in params.items() if key not in ("sig", "timestamp", "nonce")}
    # Keyed, since it is stored as it is, and a plain hash of a number and a short text could be guessed.
    return f"keyed:{keyed_hash(json.dumps(lasting, sort_keys=True))}"
