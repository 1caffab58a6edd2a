"""CSV values: how each kind is parsed and written."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from smsproxy import values
from smsproxy.carriers.base import NumberType
from smsproxy.phone import parse_e164

YES_OR_NO = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class CsvValue:
    """A kind of value. `read` parses its text and may raise ValueError. `expected` says in words what it accepts."""

    read: Callable[[str], Any] = str
    expected: str = ""
    write: Callable[[Any], str] = str

    def clean(self, text: str) -> Any:
        """Return the value of a cell. Raises ValueError, which says what was expected and found."""
        try:
            return self.read(text)
        except ValueError:
            raise ValueError(f"expected {self.expected}, found “{text[:40]}”") from None

    def render(self, value: object) -> str:
        """Return the text of a value, "" for None."""
        return "" if value is None else self.write(value)


def e164(text: str) -> str:
    """Return the number in E.164 form. Spreadsheets read "+447700900500" as a sum and drop its sign."""
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


ANY = CsvValue()
FLAG = CsvValue(_flag, "yes or no, or nothing to leave it as it is", lambda flag: "yes" if flag else "no")
TYPE = CsvValue(_type, f"one of {', '.join(NumberType)}, or nothing")
EUROS = CsvValue(_euros, "EUR a month, such as 1.25, or nothing")
RATE = CsvValue(_rate, "segments a second, 0.01 or more, or nothing", lambda rate: repr(rate).removesuffix(".0"))
TIME = CsvValue(write=_time)
