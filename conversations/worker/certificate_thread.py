"""Look at the TLS certificate of PUBLIC_URL each hour, in a separate thread, since it calls the site."""

import logging
import threading

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from conversations.models import SiteCertificate
from smsproxy.certificate import NoCertificate, certificate_of
from smsproxy.database.clock import database_now

log = logging.getLogger(__name__)

# Seconds between two looks, after a good and after a bad one, and for each step of one.
EVERY, AGAIN = 3600.0, 60.0
TIMEOUT = 10.0
# Bad looks in a row that make a trouble. The proxy may restart, or start after the worker.
BAD_LOOKS = 3


class CertificateThread(threading.Thread):
    """A thread that looks until `stop` is set. It does nothing without https."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name="certificate", daemon=True)
        self._stopping = stop

    def run(self) -> None:
        bad_looks = 0
        while settings.IS_HTTPS and settings.CARRIER != "simulator" and not self._stopping.is_set():
            pause = AGAIN
            try:
                if check_certificate(is_doubtful=bad_looks < BAD_LOOKS - 1):
                    bad_looks, pause = 0, EVERY
                else:
                    bad_looks += 1
            except (DatabaseError, InterfaceError) as error:
                log.warning("the check of the certificate failed: %s", type(error).__name__)
            connection.close()
            self._stopping.wait(pause)


def check_certificate(*, is_doubtful: bool = False) -> bool:
    """Look at the certificate, and store when it ends and what is wrong with it. Return whether it is good.

    is_doubtful: do not store what is wrong yet.
    """
    ends_at, trouble = None, ""
    try:
        certificate = certificate_of(settings.PUBLIC_URL, seconds=TIMEOUT)
    except NoCertificate as error:
        trouble = str(error)
        now = database_now()
    else:
        now = database_now()
        ends_at = certificate.ends_at
        if certificate.ends_soon(now):
            trouble = f"it ends on {ends_at:%Y-%m-%d %H:%M} UTC"
    if trouble and is_doubtful:
        return False
    SiteCertificate.objects.update_or_create(
        url=settings.PUBLIC_URL, defaults={"ends_at": ends_at, "trouble": trouble[:200], "checked_at": now}
    )
    return not trouble
