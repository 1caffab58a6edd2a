"""The cells of the pool as a table: what each may be, and how it is written."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from import_export.widgets import Widget

from smsproxy import values
from smsproxy.carriers.base import NumberType
from smsproxy.phone import parse_e164

YES_OR_NO = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}


class Cell(Widget):
    """read: the value of a cell's text; it may raise ValueError. expected: in words."""

    def __init__(
        self,
        read: Callable[[str], object] = str,
        expected: str = "",
        write: Callable[[Any], str] = str,
    ) -> None:
        super().__init__()
        self._read, self._expected, self._write = read, expected, write

    def clean(self, value: str, row: object = None, **kwargs: object) -> object:
        try:
            return self._read(value)
        except ValueError:
            raise ValueError(f"expected {self._expected}, found “{value[:40]}”") from None

    def render(self, value: object, obj: object = None, **kwargs: object) -> str:
        return "" if value is None else self._write(value)


def e164(text: str) -> str:
    """Spreadsheets take "+447700900500" for a sum, and drop its sign."""
    return parse_e164(f"+{text}" if text.isascii() and text.isdigit() else text)


def _flag(text: str) -> bool | None:
    if text and text.lower() not in YES_OR_NO:
        raise ValueError
    return YES_OR_NO.get(text.lower())


def _type(text: str) -> str:
    return NumberType(text) if text else ""


def _euros(text: str) -> Decimal | None:
    return values.euros(text) if text else None


def _rate(text: str) -> float | None:
    return values.rate(text) if text else None


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


ANY = Cell()
FLAG = Cell(_flag, "yes or no, or nothing to leave it as it is", lambda flag: "yes" if flag else "no")
TYPE = Cell(_type, f"one of {', '.join(NumberType)}, or nothing")
EUROS = Cell(_euros, "EUR a month, such as 1.25, or nothing")
RATE = Cell(_rate, "segments a second, 0.01 or more, or nothing", lambda rate: repr(rate).removesuffix(".0"))
TIME = Cell(write=_time)
