"""Vonage's errors as our CarrierErrors: every documented code, and every failure of the network.

Details are in our own words. Vonage's words can repeat the number, the text or the URL.
"""

import re
import ssl
from collections.abc import Mapping
from typing import Final

import requests
from requests import Response
from urllib3.exceptions import ConnectTimeoutError, LocationValueError, NewConnectionError

from smsproxy.carriers.base import (
    AccountFault,
    CarrierError,
    CarrierRejected,
    FaultScope,
    OutcomeUnknown,
    PermanentFailure,
    RecipientOptedOut,
    SenderFault,
    TemporaryFailure,
)

# Vonage's SMS API reference, "SMS errors". Only its older pages list the codes 13, 16, 19, 20 and 34.
SMS_STATUSES: Final[Mapping[str, tuple[type[CarrierRejected], str]]] = {
    "1": (TemporaryFailure, "rate limit: more messages a second than the number or the account may send"),
    "2": (PermanentFailure, "a parameter is missing"),
    "3": (PermanentFailure, "a parameter is not valid"),
    "4": (AccountFault, "the API key or secret is wrong or disabled"),
    "5": (TemporaryFailure, "internal error at Vonage"),
    "6": (PermanentFailure, "the message cannot be processed, for example because no network has this prefix"),
    "7": (RecipientOptedOut, "the recipient is barred"),
    "8": (AccountFault, "the account is suspended"),
    "9": (AccountFault, "the account has no credit"),
    "10": (TemporaryFailure, "too many connections at once"),
    "11": (AccountFault, "the account may not use the SMS API"),
    "12": (PermanentFailure, "the message is too long"),
    "13": (TemporaryFailure, "communication failed; the message was not submitted"),
    "14": (AccountFault, "the signature is wrong"),
    "15": (SenderFault, "this sender is not allowed"),
    "16": (PermanentFailure, "the time to live is not valid"),
    "19": (AccountFault, "the account may not use this facility"),
    "20": (PermanentFailure, "the message class is not valid"),
    "22": (PermanentFailure, "the network code is not valid"),
    "23": (AccountFault, "the callback address is not valid"),
    "29": (PermanentFailure, "the account is in demo mode, and the recipient is not among its test numbers"),
    "32": (AccountFault, "both a signature and a secret were presented"),
    "33": (PermanentFailure, "the recipient's number is no longer in use"),
    "34": (PermanentFailure, "the recipient's number is missing or not valid"),
}

# The codes that hold back more than the rejected message.
_SCOPES: Final[Mapping[str, FaultScope]] = {
    # It does not say whose rate limit was exceeded. We keep that of the account ourselves, so it is the number's.
    "1": FaultScope.NUMBER,
    "10": FaultScope.ACCOUNT,
}

# Vonage's Number Insight API reference, "Status codes". The codes for invalid numbers are results, not faults.
INSIGHT_STATUSES: Final[Mapping[str, tuple[type[CarrierRejected], str]]] = {
    "1": (TemporaryFailure, "rate limit: more lookups a second than the account may make"),
    "4": (AccountFault, "the API key or secret is wrong or disabled"),
    "9": (AccountFault, "the account has no credit"),
    "19": (AccountFault, "the account may not use lookups"),
}

# The form of all Vonage's codes. Any other value may be anything, even a phone number.
STATUS: Final = re.compile(r"[0-9]{1,4}")

_WAIT = re.compile(r"\[\s*([0-9]{1,7})\s*\]")  # Throughput Rate Exceeded - please wait [ 978 ] and retry
_SECONDS = re.compile(r"[0-9]{1,6}")


def sms_fault(status: str, error_text: str = "") -> CarrierRejected:
    """Return the error for this status of an SMS. error_text may hold the time to wait."""
    kind, detail = SMS_STATUSES.get(status, (PermanentFailure, "a status that Vonage does not document"))
    return _fault(kind, detail, status, error_text)


def insight_fault(status: str) -> CarrierRejected:
    """Return the error for this status of a Number Insight lookup."""
    kind, detail = INSIGHT_STATUSES.get(status, (PermanentFailure, "a status that Vonage does not document"))
    return _fault(kind, detail, status)


def _fault(kind: type[CarrierRejected], detail: str, code: str, error_text: str = "") -> CarrierRejected:
    if kind is not TemporaryFailure:
        return kind(detail, code=code)
    wait = _WAIT.search(error_text)
    retry_after = int(wait[1]) / 1000 if wait else None
    return TemporaryFailure(detail, code=code, retry_after=retry_after, scope=_SCOPES.get(code, FaultScope.MESSAGE))


def send_http_fault(status: int, retry_after: str = "") -> CarrierError:
    """Return the error for an HTTP status outside 2xx, as the answer to a message."""
    if status == 503:
        # RFC 9110, 15.6.4: the server is not ready to handle the request. No other 5xx says that nothing was done. An
        # order of a number is not retried even after a 503.
        seconds = _seconds(retry_after)
        return TemporaryFailure(
            "the carrier is out of service", code="503", retry_after=seconds, scope=FaultScope.ACCOUNT
        )
    return http_fault(status, retry_after)


def reports_http_fault(status: int, retry_after: str = "") -> CarrierError:
    """Return the error for an HTTP status outside 2xx, as the answer of the Reports API."""
    if status == 403:
        return AccountFault("the account may not use the Reports API: it is a paid product of its own", code="403")
    if status == 422:
        return PermanentFailure(
            "the Reports API cannot use this request: is this host's clock right, and VONAGE_API_KEY?", code="422"
        )
    return http_fault(status, retry_after)


def _seconds(retry_after: str) -> int | None:
    return int(retry_after) if _SECONDS.fullmatch(retry_after) else None


def http_fault(status: int, retry_after: str = "") -> CarrierError:
    """Return the error for an HTTP status outside 2xx.

    retry_after: the header of that name. Only its form in seconds is read.
    """
    code = str(status)
    if status == 429:
        seconds = _seconds(retry_after)
        return TemporaryFailure(
            "rate limit: too many requests", code=code, retry_after=seconds, scope=FaultScope.ACCOUNT
        )
    if status >= 500:
        # A gateway may answer so although the server behind it carried out the request.
        return OutcomeUnknown("the carrier's server failed", code=code)
    if status == 303:
        # Unlike other redirects, 303 means "done, the answer is elsewhere" (RFC 9110, 15.4.4).
        return OutcomeUnknown("the carrier redirects to its answer, which is not followed", code=code)
    if status in (400, 413, 414, 422):
        return PermanentFailure("the carrier cannot use this request", code=code)
    if status in (401, 403):
        return AccountFault("the credentials were refused", code=code)
    return AccountFault("not the answer of Vonage's API: are VONAGE_API_HOST and VONAGE_REST_HOST right?", code=code)


def numbers_fault(status: int, label: str) -> CarrierError:
    """Return the error of an order that the Numbers API rejected, from its error-code and error-code-label."""
    if status != 420:
        return http_fault(status)
    if "address" in label.lower():
        return PermanentFailure(
            "numbers of this country need an address on file: order it in Vonage's dashboard", code="420"
        )
    return PermanentFailure("the number is gone, is ours already, or is not ours", code="420")


def transport_fault(error: Exception) -> CarrierError:
    """Return the error for an exception of the SDK without an answer.

    The outcome is unknown, unless the request certainly never left this machine.
    """
    if isinstance(error, requests.TooManyRedirects):
        return http_fault(_status_of(error.response))
    if isinstance(error, (requests.exceptions.InvalidURL, LocationValueError)):
        return AccountFault("VONAGE_API_HOST or VONAGE_REST_HOST is not a host name")
    if isinstance(error, UnicodeEncodeError):
        # Half a surrogate pair, found when the form was encoded.
        return PermanentFailure("the text is not valid Unicode")
    reason = _reason(error)
    if isinstance(error, requests.ConnectTimeout) or isinstance(reason, (NewConnectionError, ConnectTimeoutError)):
        # A host name that cannot be resolved is a NewConnectionError too.
        return TemporaryFailure("the carrier cannot be reached", scope=FaultScope.WORKER)
    if isinstance(error, requests.exceptions.SSLError) and any(
        isinstance(cause, ssl.SSLCertVerificationError) for cause in getattr(reason, "args", ())
    ):
        return TemporaryFailure("the carrier's certificate could not be verified", scope=FaultScope.WORKER)
    return OutcomeUnknown(f"no answer ({type(error).__name__})")


def _reason(error: Exception) -> object:
    """Return urllib3's error inside one of requests. For a failed proxy, return the error of the connection to it."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return getattr(reason, "original_error", reason)


def _status_of(response: Response | None) -> int:
    return response.status_code if response is not None else 302
