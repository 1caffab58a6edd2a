"""Checks of the site at PUBLIC_URL, asked over the network as the carrier asks it.

They see it from this host. A firewall that stops the carrier alone cannot be seen from here.
"""

import json
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.utils import timezone

from conversations.insight.doctor.result import Result, failed, ok, skipped, warning
from smsproxy.carriers import get_carrier
from smsproxy.certificate import NoCertificate, certificate_of
from smsproxy.version import VERSION
from smsproxy.webhook_urls import delivery_receipt_url, inbound_sms_url

# Seconds to connect, and for each read. Vonage waits for 3 and 15.
TIMEOUT = (3.0, 15.0)
_PROXY_UP = (502, 503, 504)
_RESTART = "Restart the web server, so that it has the settings in .env that this command has."


class Unreachable(Exception):
    """The request got no answer. `result` says why."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.detail)
        self.result = result


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: "requests.structures.CaseInsensitiveDict[str]"
    body: bytes


def check_webhook_address() -> Result:
    """Send the empty request with which the carrier tries the address of a number."""
    try:
        answer = _ask("GET", inbound_sms_url())
    except Unreachable as error:
        return error.result
    if 300 <= answer.status < 400:
        host = urlsplit(answer.headers.get("Location", "")).hostname or "another path"
        return failed(
            f"it redirects to {host}, and carriers follow no redirect", "Set PUBLIC_URL to the address it leads to."
        )
    if answer.status in _PROXY_UP:
        return failed(f"{answer.status}: the proxy answers, the web server behind it does not", "Start the web server.")
    if answer.status != 200:
        return failed(f"{answer.status}, expected 200", "Does PUBLIC_URL lead to this program, and the whole path?")
    return ok(f"{inbound_sms_url()} answers 200 from this host")


def check_version() -> Result:
    try:
        answer = _ask("GET", f"{settings.PUBLIC_URL}/livez")
        found = json.loads(answer.body)["version"] if answer.status == 200 else None
    except Unreachable as error:
        return error.result
    except (ValueError, KeyError, TypeError):
        found = None
    if found is None:
        return failed(f"/livez answers {answer.status}, not as smsproxy does", "Does PUBLIC_URL lead to this program?")
    if found != VERSION:
        return failed(f"the web server runs {str(found)[:20]}, this command {VERSION}", "Restart the web server.")
    return ok(f"{VERSION} serves the site")


def check_certificate() -> Result:
    if not settings.IS_HTTPS:
        return skipped("PUBLIC_URL is not https")
    try:
        certificate = certificate_of(settings.PUBLIC_URL, seconds=TIMEOUT[0])
    except NoCertificate as error:
        return failed(str(error), "Does the proxy listen with TLS, and send the whole chain? Was the renewal stopped?")
    when = f"{certificate.ends_at:%Y-%m-%d %H:%M} UTC"
    if certificate.ends_soon(timezone.now()):
        return warning(f"it ends on {when}", "Is it renewed automatically? Look at the proxy's log.")
    return ok(f"valid until {when}")


def check_forwarded_scheme() -> Result:
    """Find out whether the site knows that it is called by https, whatever a caller says about it.

    Django sends Strict-Transport-Security only then.
    """
    if not settings.IS_HTTPS:
        return skipped("PUBLIC_URL is not https")
    try:
        answer = _ask("GET", f"{settings.PUBLIC_URL}/admin/login/", headers={"X-Forwarded-Proto": "http"})
    except Unreachable as error:
        return error.result
    if "Strict-Transport-Security" not in answer.headers:
        return failed(
            "the web server takes https requests for http",
            "Set BEHIND_TLS_PROXY=true, and have the proxy set X-Forwarded-Proto itself, as in deploy/caddy and "
            "deploy/nginx.",
        )
    return ok("the proxy sets X-Forwarded-Proto itself")


def check_unsigned() -> Result:
    """Send a webhook without a signature. It adds one to the counter of rejected webhooks.

    To the same address as the signed one after it, which ends the count that would become an alert.
    """
    try:
        answer = _ask("POST", delivery_receipt_url(), body={})
    except Unreachable as error:
        return error.result
    if answer.status == 200:
        return failed(
            "anyone can post texts: an unsigned webhook was accepted",
            "Have the carrier sign its webhooks, set the signature secret, and remove ALLOW_UNSIGNED_WEBHOOKS.",
        )
    return ok("401") if answer.status == 401 else failed(f"{answer.status}, expected 401", _RESTART)


def check_signed() -> Result:
    """Send a signed receipt about no message. It is stored, and has no other effect."""
    try:
        answer = _ask("POST", delivery_receipt_url(), body=dict(get_carrier().harmless_receipt()))
    except Unreachable as error:
        return error.result
    if answer.status == 401:
        return failed("401: the web server has another signature secret or method", _RESTART)
    if answer.status != 200:
        return failed(f"{answer.status}, expected 200", "Look at the web server's log.")
    return ok("accepted. The first real text shows whether the carrier signs with the same secret")


def _ask(method: str, url: str, *, headers: dict[str, str] | None = None, body: dict[str, str] | None = None) -> Answer:
    """Return the answer, without following a redirect. Raise Unreachable."""
    try:
        answer = requests.request(
            method, url, headers=headers, json=body, timeout=TIMEOUT, allow_redirects=False, stream=True
        )
        with closing(answer):
            content = answer.raw.read(65_536, decode_content=True) or b""
    except requests.exceptions.SSLError:
        raise Unreachable(failed("the TLS certificate is not valid", "See the line about the certificate.")) from None
    except requests.exceptions.Timeout:
        raise Unreachable(failed("no answer in time", "Is a firewall in the way? Does the server answer?")) from None
    except requests.exceptions.ConnectionError as error:
        is_unknown = "NameResolution" in str(error) or "getaddrinfo" in str(error)
        detail = "the host name is not known" if is_unknown else "no connection"
        raise Unreachable(failed(detail, "Does PUBLIC_URL's name lead to the proxy, and does it listen?")) from None
    except (requests.RequestException, OSError) as error:
        raise Unreachable(failed(f"no answer ({type(error).__name__})", "Look at the proxy's log.")) from None
    return Answer(status=answer.status_code, headers=answer.headers, body=content)
