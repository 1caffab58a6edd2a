"""The two webhooks through which the carrier reaches us, with inbound texts and with delivery receipts.

| situation                                     | answer                                                |
|-----------------------------------------------|-------------------------------------------------------|
| empty, unsigned GET                           | 200: a carrier tries the address before it accepts it |
| signature missing, wrong or too old           | 401, and only a counter is kept                       |
| signed, new                                   | 200, once it is committed                             |
| signed, seen before                           | 200, no effect                                        |
| signed, of a shape that we do not understand  | 200, kept as `undecodable`: a retry would not help    |
| a part of the body is missing                 | 503, so that the carrier sends it again               |
| the database does not answer, or too late     | 503, so that the carrier sends it again               |
| this host's clock is far wrong                | 503, by clock_guard.py, before it comes here          |
| our fault                                     | 500, so that the carrier sends it again               |
"""

import json
import logging
from collections.abc import Mapping
from functools import partial
from time import monotonic

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from rest_framework.request import Request
from rest_framework.views import APIView

from conversations.delivery import receipts
from conversations.intake import long_messages, receive
from conversations.webhooks import rejected
from smsproxy.api.parsers import BodyTooLarge, read_bounded
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import BadSignature, Undecodable, WebhookRequest
from smsproxy.crypto import keyed_hash
from smsproxy.database.deadline import run_with_deadline
from smsproxy.logs.fields import bound
from smsproxy.metrics.counting import count, observe
from smsproxy.metrics.families import WEBHOOK_ACK, WEBHOOKS, WEBHOOKS_REJECTED
from smsproxy.tracing import arrival

log = logging.getLogger(__name__)

# Seconds for the database. A carrier waits for 15 or so in all, some of which a request may have spent in the queue.
DATABASE_TIMEOUT = 5.0
# The answer to each result. A bug is a 500, and counts as "failed".
_STATUS = {"accepted": 200, "undecodable": 200, "rejected": 401, "incomplete": 503, "unavailable": 503}


class Webhook(APIView):
    """Verify a webhook and process it. A subclass says how to process it."""

    authentication_classes = ()
    permission_classes = ()
    endpoint = ""
    _is_undecodable = False

    def get(self, request: Request) -> HttpResponse:
        if not request.META.get("QUERY_STRING"):
            count(WEBHOOKS, endpoint=self.endpoint, result="tried")
            return _answer(200)
        return self._handle(request._request)

    def post(self, request: Request) -> HttpResponse:
        return self._handle(request._request)

    def _handle(self, request: HttpRequest) -> HttpResponse:
        began, result = monotonic(), "failed"
        try:
            result = self._result(request)
        finally:
            count(WEBHOOKS, endpoint=self.endpoint, result=result)
        if _STATUS[result] == 200:
            observe(WEBHOOK_ACK, monotonic() - began, endpoint=self.endpoint)
        return _answer(_STATUS[result])

    def _result(self, request: HttpRequest) -> str:
        """Process the webhook, and return its result: a key of _STATUS."""
        try:
            params = get_carrier().read_webhook(_facts(request))
        except BadSignature as error:
            return self._reject(error.reason)
        except BodyTooLarge:
            return self._reject("unreadable")
        except UnreadablePostError:
            return "incomplete"
        try:
            with bound(endpoint=self.endpoint), arrival():
                run_with_deadline(partial(self._take_in, params), seconds=DATABASE_TIMEOUT)
        except (DatabaseError, InterfaceError) as error:
            # The error's text may hold values. Only its kind is logged, such as DeadlockDetected.
            kind = type(error.__cause__ or error).__name__
            log.error("a webhook at %s could not be stored: %s", self.endpoint, kind)  # noqa: TRY400
            return "unavailable"
        rejected.write_if_due()
        return "undecodable" if self._is_undecodable else "accepted"

    def process(self, params: Mapping[str, str]) -> None:
        """Process the webhook, and return once it is committed. Raise Undecodable.

        The database may fail after the commit, so a second call must have no further effect.
        """
        raise NotImplementedError

    def _take_in(self, params: Mapping[str, str]) -> None:
        try:
            self.process(params)
        except Undecodable as error:
            self._is_undecodable = True
            log.warning("a webhook at %s does not have a known shape: %s", self.endpoint, error.reason)
            receive.store_undecodable(_content_id(params), _raw(params), f"{self.endpoint}: {error.reason}")

    def _reject(self, reason: str) -> str:
        rejected.count(self.endpoint, reason)
        count(WEBHOOKS_REJECTED, endpoint=self.endpoint, reason=reason)
        return "rejected"


class InboundSmsWebhook(Webhook):
    endpoint = "inbound-sms"

    def process(self, params: Mapping[str, str]) -> None:
        text = get_carrier().parse_inbound(params)
        take_in = long_messages.take_in if text.parts > 1 else receive.receive
        take_in(text, raw=_raw(params))


class DeliveryReceiptWebhook(Webhook):
    endpoint = "delivery-receipt"

    def process(self, params: Mapping[str, str]) -> None:
        receipts.receive_receipt(get_carrier().parse_receipt(params))


def _facts(request: HttpRequest) -> WebhookRequest:
    """Return what a carrier must know of the request.

    Raise BodyTooLarge; UnreadablePostError if only a part of the body arrived.
    """
    return WebhookRequest(
        method=request.method or "",
        query=request.META.get("QUERY_STRING", ""),
        content_type=request.content_type or "",
        body=b"" if request.method == "GET" else read_bounded(request),
        environ=request.META,
    )


def _answer(status: int) -> HttpResponse:
    headers = {"Content-Length": "0"}
    if status == 503:
        headers["Retry-After"] = "5"
    return HttpResponse(status=status, headers=headers)


def _raw(params: Mapping[str, str]) -> str:
    return json.dumps(get_carrier().webhook_content(params))


def _content_id(params: Mapping[str, str]) -> str:
    """Return an id for a webhook without a usable one. A retry of the same webhook has the same id."""
    # A plain hash of a number and a short text could be guessed, and this one is stored in the clear: so it is keyed.
    return f"keyed:{keyed_hash(json.dumps(get_carrier().webhook_identity(params), sort_keys=True))}"
