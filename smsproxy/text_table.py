"""Format plain text tables for the terminal."""

from collections.abc import Iterator, Sequence

INDENT = "  "


def table(rows: Sequence[Sequence[str]], *, numeric: bool = False, gap: int = 3) -> Iterator[str]:
    """Return the lines of a table, indented, in which each column is as wide as its widest cell.

    Cells are aligned to the left. With `numeric`, all columns after the first are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if numeric and position else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"{INDENT}{(' ' * gap).join(cells)}".rstrip()


def line(cells: Sequence[str], *, widths: Sequence[int]) -> str:
    """Return one line of cells with given widths, for rows that are printed before later ones are known.

    The last cell has no width. A cell that is too long is followed by one space.
    """
    *padded, last = cells
    return "".join(f"{cell:<{width - 1}} " for cell, width in zip(padded, widths, strict=True)) + last
