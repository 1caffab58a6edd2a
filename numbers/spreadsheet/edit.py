"""Edits of virtual numbers, on a page or by a file. Each edit records an event with the old and new values."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from numbers.models import NumberEvent, VirtualNumber

# The fields that people may edit, with the names that people see.
EDITABLE_FIELDS = {
    "pool": "pool",
    "is_reserved": "reserved",
    "type": "type",
    "can_sms": "can_text",
    "monthly_cost": "monthly_cost",
    "rate": "rate",
}


@dataclass(frozen=True, kw_only=True)
class NumberEdit:
    """An edit of one number. number: the row as it was read. changes: the new values, by field."""

    number: VirtualNumber
    changes: Mapping[str, Any]

    def __str__(self) -> str:
        return ", ".join(
            f"{EDITABLE_FIELDS[field]} {format_value(field, self.before(field))} → {format_value(field, value)}"
            for field, value in self.changes.items()
        )

    def before(self, field: str) -> Any:
        """Return the present value of a field."""
        return getattr(self.number, field)


def format_value(field: str, value: object) -> str:
    """Return the value of an editable field in words."""
    if value is None or value == "":
        return "common" if field == "pool" else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def apply_edits(amendments: Iterable[NumberEdit], *, why: str, actor: str) -> None:
    """Apply the edits in one transaction and record their events. Concurrent changes of other fields stay."""
    alike = defaultdict(list)
    for amendment in amendments:
        if amendment.changes:
            alike[tuple(amendment.changes.items())].append(amendment)
    ids = [each.number.pk for some in alike.values() for each in some]
    with transaction.atomic():
        # Lock all of them first, in the order in which conversations lock them. Another order could deadlock.
        numbers = VirtualNumber.objects.filter(pk__in=ids).select_for_update(no_key=True).order_by("pk")
        states = dict(numbers.values_list("pk", "state"))
        for changes, some in alike.items():
            VirtualNumber.objects.filter(pk__in=[each.number.pk for each in some]).update(**dict(changes))
        NumberEvent.objects.bulk_create(
            NumberEvent(
                number=each.number,
                old_state=states[each.number.pk],
                new_state=states[each.number.pk],
                reason=f"{why}: {each}"[:200],
                actor=actor,
            )
            for some in alike.values()
            for each in some
        )
