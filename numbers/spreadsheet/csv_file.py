"""CSV files as spreadsheets read and write them: UTF-8, of limited size, with no cell that runs as a formula.

A cell that a spreadsheet would run begins with an apostrophe in the file, which marks it as text. Reading removes it.
"""

import csv
import io
import re
from collections.abc import Collection, Iterable

# What a page checks and shows in a third of the time that a request has.
MAX_BYTES = 1_000_000
MAX_ROWS = 5_000

# A plain number is not a formula, whatever its sign: "+447700900500" stays as it is.
_WOULD_RUN = re.compile(r"(?![+-]?[0-9]+(\.[0-9]+)?\Z)[=+\-@'\t\r\n]")

Rows = dict[int, dict[str, str]]
"""Cells by column, by the number of the row in the file. The heading is row 1."""


class InvalidCsv(ValueError):
    """The file is not such a table. The message says what was expected and what was found."""


def write(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return the CSV file of a table."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([f"'{cell}" if _WOULD_RUN.match(cell) else cell for cell in row] for row in rows)
    return out.getvalue()


def read(data: bytes, *, columns: Collection[str], key: str) -> Rows:
    """Return the rows of a file, without the empty ones. It may have any of these columns, and must have the key.

    Raises InvalidCsv.
    """
    heading, *rows = _rows(_text(data))
    names = [cell.strip().lower() for cell in heading]
    _check_heading(names, columns, key)
    if len(rows) > MAX_ROWS:
        raise InvalidCsv(f"Expected at most {MAX_ROWS:,} rows, found {len(rows):,}: split the file.")
    table = {}
    for place, row in enumerate(rows, start=2):
        if len(row) > len(names) and any(cell.strip() for cell in row):
            raise InvalidCsv(f"Row {place}: expected {len(names)} cells, as in the first row, found {len(row)} cells.")
        cells = [cell.strip().removeprefix("'") for cell in row]
        if any(cells):
            table[place] = dict.fromkeys(names, "") | dict(zip(names, cells, strict=False))
    return table


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise InvalidCsv(f"Expected at most {MAX_BYTES:,} bytes, found {len(data):,}: split the file.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidCsv("Expected a CSV file in UTF-8, found another encoding: export it as “CSV UTF-8”.") from None


def _rows(text: str) -> list[list[str]]:
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InvalidCsv(f"Expected a CSV file, found one that cannot be read: {error}.") from None
    while rows and not any(rows[-1]):
        rows.pop()
    if len(rows) < 2:
        raise InvalidCsv("Expected a row of headings and rows of numbers below it, found no such rows.")
    return rows


def _check_heading(names: list[str], columns: Collection[str], key: str) -> None:
    known = ", ".join(columns)
    if key not in names:
        raise InvalidCsv(f"Expected a column “{key}”, and commas between the columns; found {_quoted(names)}.")
    if unknown := [name for name in names if name not in columns]:
        raise InvalidCsv(f"Expected only these columns: {known}. Found {_quoted(unknown)}.")
    if twice := [name for name in columns if names.count(name) > 1]:
        raise InvalidCsv(f"Expected each column once, found {_quoted(twice)} more than once.")


def _quoted(names: list[str]) -> str:
    shown = ", ".join(f"“{name[:40]}”" for name in names[:5])
    return f"{shown} and more" if len(names) > 5 else shown
