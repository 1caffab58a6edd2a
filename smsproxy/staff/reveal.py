"""Uncover a number or texts for some minutes, for a reason, and record it."""

from datetime import timedelta

from django.db import models, transaction
from django.http import HttpRequest

from smsproxy.database.clock import database_now
from smsproxy.english import in_english
from smsproxy.staff import audit
from smsproxy.staff.models import AuditAction, Reveal, RevealKind

REVEALED_FOR = timedelta(minutes=15)


def reveal(request: HttpRequest, kind: RevealKind, row: models.Model, *, reason: str) -> Reveal:
    """Let the user of the request see this for REVEALED_FOR. The caller has checked their permission.

    row: the object whose id RevealKind names.
    """
    until = database_now() + REVEALED_FOR
    with transaction.atomic():
        shown, _ = Reveal.objects.update_or_create(
            user_id=_user(request), kind=kind, object_id=row.pk, defaults={"reason": reason[:200], "until": until}
        )
        audit.record(request, AuditAction.REVEALED, row, detail=in_english(kind.label), reason=reason)
    return shown


def active_reveal(request: HttpRequest, kind: RevealKind, object_id: int) -> Reveal | None:
    """Return the reveal by which the user of the request sees this now, or None."""
    return Reveal.objects.active().filter(user_id=_user(request), kind=kind, object_id=object_id).first()


def hide(request: HttpRequest, kind: RevealKind, object_id: int) -> None:
    """Cover it again, before its time is over."""
    Reveal.objects.filter(user_id=_user(request), kind=kind, object_id=object_id).delete()


def _user(request: HttpRequest) -> int:
    assert request.user.pk is not None  # noqa: S101 - only signed-in staff reveal
    return request.user.pk
