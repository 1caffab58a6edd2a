"""The pool as a table: exported, and imported with a preview of what changes. Nothing is imported unless all of it is.

Imported are numbers that are rented already, new to the pool or out of it, and what people may set of those in it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import phonenumbers
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from import_export.fields import Field
from import_export.formats.base_formats import CSV
from import_export.resources import ModelResource
from import_export.results import Result
from import_export.widgets import Widget
from tablib import Dataset

from numbers.models import NumberEvent, NumberState, Pool, VirtualNumber
from numbers.provisioning.purchase import of_participants
from numbers.spreadsheet import csv_file
from numbers.spreadsheet.cells import ANY, EUROS, FLAG, RATE, TIME, TYPE, Cell, e164
from numbers.spreadsheet.edit import AMENDABLE, Amendment, amend, told
from smsproxy.carriers.base import Feature
from smsproxy.phone import NotE164, country_of, mask
from smsproxy.states import StaleState


class Kind(StrEnum):
    NEW = "new"
    BACK = "rented again"
    """It was given up, and the file says that it is ours."""
    CHANGED = "changed"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is to become of one number. wanted: its row as the file wants it."""

    kind: Kind
    amendment: Amendment
    wanted: VirtualNumber

    def __str__(self) -> str:
        if self.kind == Kind.NEW:
            values = {name: told(field, getattr(self.wanted, field)) for field, name in AMENDABLE.items()}
            shown = [f"{name} {value}" for name, value in values.items() if value != "none"]
            return f"{self.wanted} new: {', '.join([f'country {self.wanted.country}', *shown])}"
        kind = f"{self.kind}: " if self.kind == Kind.BACK else ""
        return f"{self.wanted} {kind}{self.amendment}".removesuffix(": ")


class Meanwhile(Exception):
    """Between preview and import, somebody else has changed what the file changes. Nothing was imported."""


class ImportResult(Result):
    """What the file does, or did. A row that is wrong is an error like any other: then it does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []

    @property
    def faults(self) -> list[str]:
        rows = [
            f"Row {row.number + 1}, {AMENDABLE.get(field, field)}: {message}"
            for row in self.invalid_rows
            for field, messages in row.error_dict.items()
            for message in messages
        ]
        return [*(str(each.error) for each in self.base_errors), *rows]

    @property
    def summary(self) -> str:
        counted = Counter(entry.kind for entry in self.entries)
        return ", ".join([*(f"{counted[kind]} {kind}" for kind in Kind), f"{self.totals['skip']} as they are"])

    @property
    def fingerprint(self) -> str:
        """The same for two previews that show the same."""
        return hashlib.sha256("\n".join(map(str, self.entries)).encode()).hexdigest()

    def has_errors(self) -> bool:
        return bool(self.base_errors or self.invalid_rows or self.error_rows)


def _shown(attribute: str, cell: Widget = ANY) -> Field:
    return Field(attribute, widget=cell, readonly=True)


class NumberResource(ModelResource):
    """Each column and what its cells may be. Those that are only shown are not read, whatever the file has there."""

    number = Field("number", widget=ANY)
    country = _shown("country")
    area = _shown("area")
    region = _shown("region")
    state = _shown("state")
    rented = _shown("is_rented", FLAG)
    pool = Field("pool", widget=ANY)
    reserved = Field("is_reserved", widget=FLAG, saves_null_values=False)
    type = Field("type", widget=TYPE)
    can_text = Field("can_sms", widget=FLAG, saves_null_values=False)
    monthly_cost = Field("monthly_cost", widget=EUROS)
    rate = Field("rate", widget=RATE)
    live_pairs = _shown("live")
    last_assigned_at = _shown("last_assigned_at", TIME)
    created_at = _shown("created_at", TIME)

    class Meta:
        model = VirtualNumber
        # In this order.
        fields = (
            *("number", "country", "area", "region", "state", "rented"),
            *AMENDABLE.values(),
            *("live_pairs", "last_assigned_at", "created_at"),
        )
        import_id_fields = ("number",)
        skip_unchanged = True
        report_skipped = False
        # No savepoint for each row: none of them writes anything.
        use_bulk = True

    # What the preview shows: what may change with an import, and the country, which it may find out.
    PREVIEWED = ("number", "country", "state", "rented", *AMENDABLE.values())
    IMPORTED = ("number", "country", "rented", *AMENDABLE.values())

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self._known: Mapping[str, VirtualNumber] = {}
        self._of_participants: set[str] = set()
        self._claimed: set[str] = set()
        self._rows: dict[str, int] = {}
        self._entries: list[Entry] = []

    @classmethod
    def get_result_class(cls) -> Any:
        return ImportResult

    def get_queryset(self) -> Any:
        return VirtualNumber.objects.select_related("pool")

    def get_import_fields(self) -> list[Field]:
        return [self.fields[name] for name in self.PREVIEWED]

    def get_user_visible_fields(self) -> list[Field]:
        return [self.fields[name] for name in self.IMPORTED]

    # Import: everything is read and compared, without a lock, and then written in one go.

    def before_import(self, dataset: Dataset, **kwargs: object) -> None:
        pools = {pool.name: pool for pool in Pool.objects.all()}
        names = list(pools) or ["the name of a pool, of which there is none yet"]
        expected = ", ".join([*names, "or nothing for the common pool"])
        self.fields["pool"].widget = Cell(lambda name: _one_of(pools, name), expected)
        numbers = list(_readable(dataset["number"]))
        self._known = self.get_queryset().in_bulk(numbers, field_name="number")
        ours = {number for number, row in self._known.items() if row.is_rented}
        self._of_participants = of_participants(set(numbers) - ours)
        self._claimed, self._rows, self._entries = set(), {}, []

    def before_import_row(self, row: dict[str, str], row_number: int = 0, **kwargs: object) -> None:
        try:
            number = row["number"] = e164(row["number"])
        except NotE164 as error:
            raise ValidationError({"number": f"{error}; found “{row['number'][:40]}”"}) from None
        first = self._rows.setdefault(number, row_number)
        if first != row_number:
            raise ValidationError({"number": f"expected each number once, found that of row {first + 1} again"})

    def get_instance(self, instance_loader: object, row: Mapping[str, str]) -> VirtualNumber | None:
        known = self._known.get(row["number"])
        return copy(known) if known else None

    def init_instance(self, row: Mapping[str, str] | None = None) -> VirtualNumber:
        row = row or {}
        country = _country(row["number"], row.get("country", ""))
        features = frozenset({Feature.SMS})
        return VirtualNumber.of(row["number"], country, None, features, state=NumberState.CONFIGURING)

    def after_init_instance(self, instance: VirtualNumber, new: bool, row: Mapping[str, str], **kwargs: object) -> None:
        """What the file says of whose it is."""
        try:
            is_claimed = FLAG.clean(row.get("rented", "")) is not False
        except ValueError as error:
            raise ValidationError({"rented": str(error)}) from None
        if not new and row.get("country", "").upper() not in ("", instance.country):
            raise ValidationError({"country": f"expected {instance.country}, which cannot change, or nothing"})
        if new and not is_claimed:
            raise ValidationError({"rented": "expected yes, or nothing: a number that is not rented cannot be new"})
        if not new and instance.is_rented and not is_claimed:
            raise ValidationError(
                {"rented": "expected yes, or nothing: manage.py release_numbers gives a number back, no import does"}
            )
        if is_claimed and (new or not instance.is_rented):
            _check_that_it_can_be_ours(instance, self._of_participants)
            self._claimed.add(instance.number)

    def import_instance(self, instance: VirtualNumber, row: Mapping[str, str], **kwargs: object) -> None:
        super().import_instance(instance, row, **kwargs)
        if instance.number in self._claimed:
            instance.state, instance.is_rented = NumberState.CONFIGURING, True

    def skip_row(self, instance: VirtualNumber, *args: object, **kwargs: object) -> bool:
        """A row that changes nothing; a new number is a change, even if the file says no more of it."""
        return instance.number in self._known and bool(super().skip_row(instance, *args, **kwargs))

    def save_instance(self, instance: VirtualNumber, is_create: bool, row: Mapping[str, str], **kwargs: object) -> None:
        known = self._known.get(instance.number, instance)
        changes = {field: getattr(instance, field) for field in AMENDABLE}
        amendment = Amendment(
            number=known, changes={field: new for field, new in changes.items() if new != getattr(known, field)}
        )
        known_kind = Kind.BACK if instance.number in self._claimed else Kind.CHANGED
        self._entries.append(Entry(kind=Kind.NEW if is_create else known_kind, amendment=amendment, wanted=instance))

    def after_import(
        self,
        dataset: Dataset,
        result: ImportResult,
        *,
        dry_run: bool = True,
        previewed: str = "",
        user: Any = None,
        **kwargs: object,
    ) -> None:
        """previewed: the fingerprint of the preview that somebody has agreed to."""
        for row in result.error_rows:
            raise row.errors[0].error  # Not the file's: ours, or the database's.
        result.entries = self._entries
        if dry_run or result.has_errors():
            return
        if result.fingerprint != previewed:
            raise Meanwhile("The pool has changed since the preview. Look at what the file would change now.")
        try:
            _write(result.entries, actor=user.get_username() if user else "")
        except (IntegrityError, StaleState):
            raise Meanwhile("The pool changes at this moment. Look at what the file would change now.") from None

    def handle_import_error(self, result: ImportResult, error: Exception, raise_errors: bool = False) -> None:
        if not isinstance(error, Meanwhile):
            raise error
        super().handle_import_error(result, error, raise_errors)


class NumberCSV(CSV):
    """The one format of import and export."""

    def create_dataset(self, in_stream: bytes, **kwargs: object) -> Dataset:
        return csv_file.read(in_stream, columns=NumberResource.Meta.fields, key="number")

    def export_data(self, dataset: Dataset, **kwargs: object) -> str:
        return csv_file.write(dataset)


def _write(entries: list[Entry], *, actor: str) -> None:
    amend([each.amendment for each in entries if each.kind == Kind.CHANGED], why="imported", actor=actor)
    for each in entries:
        if each.kind == Kind.BACK:
            # Where its texts go now, nobody has told us.
            changes = {"is_rented": True, "webhook_url": "", **each.amendment.changes}
            reason = f"imported: {each.amendment}".removesuffix(": ")
            copy(each.amendment.number).move(NumberState.CONFIGURING, reason=reason, actor=actor, **changes)
    new = VirtualNumber.objects.bulk_create(each.wanted for each in entries if each.kind == Kind.NEW)
    NumberEvent.objects.bulk_create(
        NumberEvent(number=number, new_state=number.state, reason="imported", actor=actor) for number in new
    )


def _check_that_it_can_be_ours(number: VirtualNumber, of_participants: set[str]) -> None:
    if number.number in of_participants:
        raise ValidationError(
            {"number": f"{mask(number.number)} is a person's who took part in a conversation: it cannot be ours"}
        )
    if number.state == NumberState.ORDERED:
        raise ValidationError({"number": f"{number} is being bought: manage.py sync_numbers tells whether it is ours"})


def _readable(cells: list[str]) -> Iterator[str]:
    for cell in cells:
        try:
            yield e164(cell)
        except NotE164:
            continue


def _one_of(pools: Mapping[str, Pool], name: str) -> Pool | None:
    if name and name not in pools:
        raise ValueError
    return pools.get(name)


def _country(number: str, text: str) -> str:
    """What the file says, if it can be; else what the number says."""
    country = text.upper() or country_of(number)
    code = phonenumbers.country_code_for_region(country)
    if not country or not code or not number.startswith(f"+{code}"):
        found = f"“{text[:40]}”" if text else "nothing, and the number itself does not tell"
        raise ValidationError(
            {"country": f"expected two letters, such as GB, of a country whose calling code it has; found {found}"}
        )
    return country
