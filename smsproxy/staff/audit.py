"""Write the audit. Every page and act of staff that concerns personal data, or changes something, calls `record`."""

from collections.abc import Iterable

from django.db import models, transaction
from django.http import HttpRequest

from smsproxy.english import in_english
from smsproxy.logs import redact
from smsproxy.staff.concerned import people_of
from smsproxy.staff.models import AuditAction, AuditedPerson, AuditEntry


def record(
    request: HttpRequest,
    action: AuditAction,
    row: models.Model | None = None,
    *,
    detail: str = "",
    reason: str = "",
    people: Iterable[int] = (),
) -> AuditEntry:
    """Add an entry about this row, by the user of the request.

    detail and reason: in words; numbers in them are masked. people: the ids of the real numbers' rows that it concerns.
    Without them, the entry concerns the people of the row, as `concerned.people_of` finds them.
    In the caller's transaction, so that an act and its entry are kept together or not at all.
    """
    return record_for(request.user.get_username(), action, row, detail=detail, reason=reason, people=people)


def record_for(
    actor: str,
    action: AuditAction,
    row: models.Model | None = None,
    *,
    detail: str = "",
    reason: str = "",
    people: Iterable[int] = (),
) -> AuditEntry:
    """Add an entry for this user name, which need not be that of a user: a failed sign-in has any."""
    with transaction.atomic():
        entry = AuditEntry.objects.create(
            actor=_kept(actor, 150),
            action=action,
            detail=_kept(detail, 200),
            object_type=row._meta.label_lower if row is not None else "",
            object_id=str(row.pk) if row is not None else "",
            object_name=in_english(row)[:200] if row is not None else "",  # Our rows are named without real numbers.
            reason=_kept(reason, 200),
        )
        concerned = sorted(set(people)) or people_of(row)
        AuditedPerson.objects.bulk_create(AuditedPerson(entry=entry, person_id=pk) for pk in concerned)
    return entry


def _kept(text: str, length: int) -> str:
    """Return what the audit keeps of a text: numbers masked, and without NUL, which PostgreSQL refuses."""
    return redact(text.replace("\0", ""))[:length]
