"""CSV as spreadsheets write and read it: bounded, in UTF-8, and without anything that they would run as a formula.

A cell that they would run begins with an apostrophe in the file, which is how they mark text; it is taken off again
when the file is read. (The library's own setting takes off a leading "=", and so changes what it exports.)
"""

import csv
import io
import re
from collections.abc import Collection

from tablib import Dataset

# What a page checks and shows in a third of the time that a request has.
MOST_BYTES = 1_000_000
MOST_ROWS = 5_000

# A plain number is not run, whatever its sign: "+447700900500" stays as it is.
_WOULD_RUN = re.compile(r"(?![+-]?[0-9]+(\.[0-9]+)?\Z)[=+\-@'\t\r\n]")


class Unreadable(ValueError):
    """The file is not such a table. Says what was expected and what was found."""


def write(table: Dataset) -> str:
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(table.headers)
    for row in table:
        rows.writerow([f"'{cell}" if _WOULD_RUN.match(cell) else cell for cell in row])
    return out.getvalue()


def read(data: bytes, *, columns: Collection[str], key: str) -> Dataset:
    """The rows of the file. Of these columns it has any, but the key. Raises Unreadable."""
    heading, *rows = _rows(_text(data))
    names = [cell.strip().lower() for cell in heading]
    _check_heading(names, columns, key)
    if len(rows) > MOST_ROWS:
        raise Unreadable(f"Expected at most {MOST_ROWS:,} rows, found {len(rows):,}: split the file.")
    table = Dataset(headers=names)
    for place, row in enumerate(rows, start=2):
        if not any(cell.strip() for cell in row):
            continue  # Spreadsheets leave such ones at the end.
        if len(row) > len(names):
            raise Unreadable(f"Row {place}: expected {len(names)} cells, as the first row has; found {len(row)} cells.")
        cells = [cell.strip().removeprefix("'") for cell in row]
        table.append(cells + [""] * (len(names) - len(cells)))
    return table


def _text(data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise Unreadable(f"Expected at most {MOST_BYTES:,} bytes, found {len(data):,}: split the file.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("Expected a CSV file in UTF-8, found something else: export it as “CSV UTF-8”.") from None


def _rows(text: str) -> list[list[str]]:
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise Unreadable(f"Expected a CSV file, found one that cannot be read: {error}.") from None
    while rows and not any(rows[-1]):
        rows.pop()
    if len(rows) < 2:
        raise Unreadable("Expected a row of headings and rows of numbers below it, found none.")
    return rows


def _check_heading(names: list[str], columns: Collection[str], key: str) -> None:
    known = ", ".join(columns)
    if key not in names:
        raise Unreadable(f"Expected a column “{key}”, and commas between the columns; found {_told(names)}.")
    if unknown := [name for name in names if name not in columns]:
        raise Unreadable(f"Expected columns of these: {known}. Found {_told(unknown)}.")
    if twice := [name for name in columns if names.count(name) > 1]:
        raise Unreadable(f"Expected each column once, found {_told(twice)} more than once.")


def _told(names: list[str]) -> str:
    shown = ", ".join(f"“{name[:40]}”" for name in names[:5])
    return f"{shown} and more" if len(names) > 5 else shown
