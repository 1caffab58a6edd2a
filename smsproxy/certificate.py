"""The TLS certificate of a site, as a client sees it."""

import os
import socket
import ssl
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from certifi import where

# A certificate of more than three weeks is renewed with a third of its time left. Below this, renewal has failed.
_ENDS_SOON = timedelta(days=14)


class NoCertificate(Exception):
    """No valid certificate was shown. The text says why, and holds nothing secret."""


@dataclass(frozen=True)
class Certificate:
    begins_at: datetime
    ends_at: datetime

    def ends_soon(self, at: datetime) -> bool:
        """Return whether its renewal is overdue: two weeks are left, or a sixth of the time of a short-lived one."""
        return self.ends_at - at < min(_ENDS_SOON, (self.ends_at - self.begins_at) / 6)


def certificate_of(url: str, *, seconds: float) -> Certificate:
    """Connect to the site and return its certificate. Raise NoCertificate. seconds: the timeout of each step."""
    parts = urlsplit(url)
    context = ssl.create_default_context()
    context.load_verify_locations(os.environ.get("REQUESTS_CA_BUNDLE") or where())
    try:
        with (
            closing(socket.create_connection((str(parts.hostname), parts.port or 443), timeout=seconds)) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as tls,
        ):
            shown = tls.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        raise NoCertificate(f"it is not valid: {error.verify_message}") from None
    except socket.gaierror:
        raise NoCertificate("the host name is not known") from None
    except OSError as error:
        raise NoCertificate(f"no TLS connection ({type(error).__name__})") from None
    return Certificate(*(_date(str(shown[name])) for name in ("notBefore", "notAfter")))


def _date(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)
