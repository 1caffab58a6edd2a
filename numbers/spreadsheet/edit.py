"""Amending: what people set of numbers, on a page or by a file. Each change leaves an event that says what it was."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from numbers.models import NumberEvent, VirtualNumber

# The fields that people may set, and what people call them.
AMENDABLE = {
    "pool": "pool",
    "is_reserved": "reserved",
    "type": "type",
    "can_sms": "can_text",
    "monthly_cost": "monthly_cost",
    "rate": "rate",
}


@dataclass(frozen=True, kw_only=True)
class Amendment:
    """number: as it was read. changes: the values that it is to have, by field."""

    number: VirtualNumber
    changes: Mapping[str, Any]

    def __str__(self) -> str:
        return ", ".join(
            f"{AMENDABLE[field]} {told(field, getattr(self.number, field))} → {told(field, value)}"
            for field, value in self.changes.items()
        )


def told(field: str, value: object) -> str:
    """A value of such a field, in words."""
    if value is None or value == "":
        return "common" if field == "pool" else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def amend(amendments: Iterable[Amendment], *, why: str, actor: str) -> None:
    """Set what is to change, and nothing else: whatever else becomes of these numbers meanwhile stays."""
    alike = defaultdict(list)
    for amendment in amendments:
        if amendment.changes:
            alike[tuple(amendment.changes.items())].append(amendment)
    ids = [each.number.pk for some in alike.values() for each in some]
    with transaction.atomic():
        # All of them first, and in the order of conversations that take them: else we could dead-lock with one.
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
