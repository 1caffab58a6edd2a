"""The pool as CSV: export, and import with a preview of the changes. An import is all or nothing.

A file brings in numbers that we already rent, and sets the editable fields of numbers in the pool.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from enum import StrEnum

import phonenumbers
from django.db import IntegrityError, transaction

from numbers.models import NumberEvent, NumberState, Pool, VirtualNumber
from numbers.provisioning.purchase import participant_numbers
from numbers.spreadsheet import csv_file
from numbers.spreadsheet.cells import ANY, EUROS, FLAG, RATE, TIME, TYPE, CsvValue, e164
from numbers.spreadsheet.csv_file import Rows
from numbers.spreadsheet.edit import EDITABLE_FIELDS, NumberEdit, apply_edits, format_value
from smsproxy.carriers.base import Feature
from smsproxy.phone import NotE164, canonical, country_of, mask
from smsproxy.states import StaleState

# The columns of the file, in this order: the field of each and the kind of its values.
COLUMNS: dict[str, tuple[str, CsvValue]] = {
    "number": ("number", ANY),
    "country": ("country", ANY),
    "area": ("area", ANY),
    "region": ("region", ANY),
    "state": ("state", ANY),
    "rented": ("is_rented", FLAG),
    "pool": ("pool", ANY),
    "reserved": ("is_reserved", FLAG),
    "type": ("type", TYPE),
    "can_text": ("can_sms", FLAG),
    "monthly_cost": ("monthly_cost", EUROS),
    "rate": ("rate", RATE),
    "live_pairs": ("live_pair_count", ANY),
    "last_assigned_at": ("last_assigned_at", TIME),
    "created_at": ("created_at", TIME),
}
# The columns that an import reads; it ignores the others. The preview also shows the state, which may change.
IMPORTED = ("number", "country", "rented", *EDITABLE_FIELDS.values())
PREVIEWED = ("number", "country", "state", "rented", *EDITABLE_FIELDS.values())

MAX_LISTED = 5


class ChangeKind(StrEnum):
    NEW = "new"
    BACK = "rented again"
    """The number was given up, and the file says that we rent it."""
    CHANGED = "changed"


class PreviewOutdated(Exception):
    """The pool has changed between preview and import. Nothing was imported."""


class BadCell(Exception):
    """Cells of one row that cannot be imported. faults: what is wrong, by column."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__()
        self.faults = faults


@dataclass(frozen=True, kw_only=True)
class PlannedChange:
    """A planned change of one number. wanted: the row as it will be."""

    kind: ChangeKind
    amendment: NumberEdit
    wanted: VirtualNumber

    def __str__(self) -> str:
        if self.kind == ChangeKind.NEW:
            values = {name: format_value(field, getattr(self.wanted, field)) for field, name in EDITABLE_FIELDS.items()}
            shown = [f"{name} {value}" for name, value in values.items() if value != "none"]
            return f"{self.wanted} new: {', '.join([f'country {self.wanted.country}', *shown])}"
        kind = f"{self.kind}: " if self.kind == ChangeKind.BACK else ""
        return f"{self.wanted} {kind}{self.amendment}".removesuffix(": ")

    @property
    def cells(self) -> list[tuple[str, str]]:
        """Each previewed value before and after the import. A new number has nothing before."""
        before = None if self.kind == ChangeKind.NEW else self.amendment.number
        fields = [COLUMNS[name] for name in PREVIEWED]
        return [
            (cell.render(getattr(before, field, None)), cell.render(getattr(self.wanted, field)))
            for field, cell in fields
        ]


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a file would change. With faults, it changes nothing. unchanged: rows that already match the pool."""

    entries: list[PlannedChange]
    faults: list[str]
    unchanged: int

    @property
    def summary(self) -> str:
        counted = Counter(entry.kind for entry in self.entries)
        return ", ".join([*(f"{counted[kind]} {kind}" for kind in ChangeKind), f"{self.unchanged} unchanged"])

    @property
    def fingerprint(self) -> str:
        """A hash of all that the preview says. Equal previews have equal ones."""
        return hashlib.sha256("\n".join(map(str, self.entries)).encode()).hexdigest()


def export(numbers: Iterable[VirtualNumber]) -> str:
    """Return the CSV file of these numbers."""
    rows = ([cell.render(getattr(number, field)) for field, cell in COLUMNS.values()] for number in numbers)
    return csv_file.write(COLUMNS, rows)


def read(data: bytes) -> Rows:
    """Return the rows of a CSV file of numbers. Raises InvalidCsv."""
    return csv_file.read(data, columns=COLUMNS, key="number")


def preview(rows: Rows) -> Preview:
    """Compare the rows with the pool, without a lock, and return what an import would change."""
    numbers = {}
    for place, cells in rows.items():
        with suppress(NotE164):
            numbers[place] = e164(cells["number"])
    known = VirtualNumber.objects.select_related("pool").by_number(numbers.values())
    rented = {number for number, row in known.items() if row.is_rented}
    people = participant_numbers(set(numbers.values()) - rented)
    pool_cell = _pool_cell()
    entries: list[PlannedChange] = []
    faults: list[str] = []
    places: dict[str, int] = {}
    for place, cells in rows.items():
        try:
            number = _number(cells["number"])
            if (first := places.setdefault(canonical(number), place)) != place:
                raise BadCell({"number": f"expected each number once, found that of row {first} again"})
            entry = _entry(number, cells, known.get(number), pool_cell, is_of_a_person=number in people)
        except BadCell as error:
            faults += [f"Row {place}, {column}: {fault}" for column, fault in error.faults.items()]
        else:
            entries += [entry] if entry else []
    return Preview(entries=entries, faults=faults, unchanged=len(rows) - len(entries))


def apply(rows: Rows, *, previewed: str, actor: str = "") -> Preview:
    """Import the rows and return what changed. Raises PreviewOutdated if that is not what was previewed.

    previewed: the fingerprint of the preview that somebody has agreed to.
    """
    try:
        with transaction.atomic():
            found = preview(rows)
            if found.faults:
                raise PreviewOutdated(" ".join(found.faults[:MAX_LISTED]))
            if found.fingerprint != previewed:
                raise PreviewOutdated("The pool has changed since the preview. Check what the file would change now.")
            _write(found.entries, actor=actor)
    except (IntegrityError, StaleState):
        raise PreviewOutdated("The pool is changing at this moment. Check what the file would change now.") from None
    return found


def _entry(
    number: str, cells: Mapping[str, str], known: VirtualNumber | None, pool_cell: CsvValue, *, is_of_a_person: bool
) -> PlannedChange | None:
    """Return the planned change of a number, or None if the row changes nothing. Raises BadCell."""
    country = cells.get("country", "")
    if known is None:
        features = frozenset({Feature.SMS})
        wanted = VirtualNumber.of(number, _country(number, country), None, features, state=NumberState.CONFIGURING)
    else:
        wanted = copy(known)
    is_claimed = _is_claimed(cells, known)
    if known is not None and country.upper() not in ("", known.country):
        raise BadCell({"country": f"expected {known.country}, which cannot change, or nothing"})
    is_back = known is not None and not known.is_rented and is_claimed
    if known is None or is_back:
        if is_of_a_person:
            fault = f"{mask(number)} belongs to a person who took part in a conversation: it cannot join the pool"
            raise BadCell({"number": fault})
        if known is not None and known.state == NumberState.ORDERED:
            raise BadCell({"number": f"{number} is being bought: run manage.py sync_numbers to see whether we own it"})
        wanted.state, wanted.is_rented = NumberState.CONFIGURING, True
    _set_fields(wanted, cells, pool_cell)
    before = known or wanted
    changes = {
        field: getattr(wanted, field) for field in EDITABLE_FIELDS if getattr(wanted, field) != getattr(before, field)
    }
    kind = ChangeKind.NEW if known is None else ChangeKind.BACK if is_back else ChangeKind.CHANGED
    if kind == ChangeKind.CHANGED and not changes:
        return None
    return PlannedChange(kind=kind, amendment=NumberEdit(number=before, changes=changes), wanted=wanted)


def _number(text: str) -> str:
    try:
        return e164(text)
    except NotE164 as error:
        raise BadCell({"number": f"{error}; found “{text[:40]}”"}) from None


def _is_claimed(cells: Mapping[str, str], known: VirtualNumber | None) -> bool:
    """Return whether the file says that we rent the number. An empty cell says so."""
    try:
        is_claimed = FLAG.clean(cells.get("rented", "")) is not False
    except ValueError as error:
        raise BadCell({"rented": str(error)}) from None
    if is_claimed or (known is not None and not known.is_rented):
        return is_claimed
    if known is None:
        raise BadCell({"rented": "expected yes, or nothing: a number that is not rented cannot be new"})
    fault = "expected yes, or nothing: only manage.py release_numbers gives a number back, no import does"
    raise BadCell({"rented": fault})


def _set_fields(wanted: VirtualNumber, cells: Mapping[str, str], pool_cell: CsvValue) -> None:
    """Set the editable fields for which the file has a column. Raises BadCell with all that is wrong."""
    faults = {}
    for field, name in EDITABLE_FIELDS.items():
        if name not in cells:
            continue
        cell = pool_cell if name == "pool" else COLUMNS[name][1]
        try:
            value = cell.clean(cells[name])
        except ValueError as error:
            faults[name] = str(error)
        else:
            if cell is not FLAG or value is not None:  # An empty flag leaves the field as it is.
                setattr(wanted, field, value)
    if faults:
        raise BadCell(faults)


def _pool_cell() -> CsvValue:
    pools = {pool.name: pool for pool in Pool.objects.all()}

    def find(name: str) -> Pool | None:
        if name and name not in pools:
            raise ValueError
        return pools.get(name)

    names = list(pools) or ["the name of a pool, of which none exists yet"]
    return CsvValue(find, ", ".join([*names, "or nothing for the common pool"]))


def _country(number: str, text: str) -> str:
    """Return the country of a new number: from the file if it fits the calling code, otherwise from the number."""
    country = text.upper() or country_of(number)
    code = phonenumbers.country_code_for_region(country)
    if not country or not code or not number.startswith(f"+{code}"):
        found = f"“{text[:40]}”" if text else "nothing, and the number itself does not tell"
        fault = f"expected two letters, such as GB, of a country whose calling code it has; found {found}"
        raise BadCell({"country": fault})
    return country


def _write(entries: list[PlannedChange], *, actor: str) -> None:
    apply_edits([each.amendment for each in entries if each.kind == ChangeKind.CHANGED], why="imported", actor=actor)
    for each in entries:
        if each.kind == ChangeKind.BACK:
            # Nobody has told us where its messages go now.
            changes = {"is_rented": True, "webhook_url": "", **each.amendment.changes}
            reason = f"imported: {each.amendment}".removesuffix(": ")
            copy(each.amendment.number).transition(NumberState.CONFIGURING, reason=reason, actor=actor, **changes)
    new = VirtualNumber.objects.bulk_create(each.wanted for each in entries if each.kind == ChangeKind.NEW)
    NumberEvent.objects.bulk_create(
        NumberEvent(number=number, new_state=number.state, reason="imported", actor=actor) for number in new
    )
