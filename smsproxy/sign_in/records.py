"""Audit entries of sign-ins. Anybody can fail to sign in, so failures are recorded at a limited rate."""

import logging
from datetime import timedelta

from django.utils import timezone

from smsproxy.staff import audit
from smsproxy.staff.models import AuditAction, AuditEntry

# Failed sign-ins that the audit keeps in a minute, by everybody together.
FAILURES_PER_MINUTE = 60
log = logging.getLogger(__name__)


def record_failure(name: str, detail: str) -> None:
    """Record a failed sign-in under this name, unless too many others failed within a minute.

    name: as lockout.name_to_keep returns it.
    """
    newest = AuditEntry.objects.filter(action=AuditAction.SIGN_IN_FAILED).order_by("-id").values_list("at", flat=True)
    at = next(iter(newest[FAILURES_PER_MINUTE - 1 : FAILURES_PER_MINUTE]), None)
    if at is not None and at > timezone.now() - timedelta(minutes=1):
        log.warning("a failed sign-in is not in the audit: more than %s in a minute", FAILURES_PER_MINUTE)
        return
    audit.record_for(name, AuditAction.SIGN_IN_FAILED, detail=detail)
