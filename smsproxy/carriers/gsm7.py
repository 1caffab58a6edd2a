"""How many SMS a text is, and in which encoding: GSM 7-bit (3GPP TS 23.038) where it fits, else UCS-2.

Each SMS of a long text is billed, and counts against the rate limits, on its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

# 3GPP TS 23.038, 6.2.1, in code order; ESC (0x1B), which only announces the extension table, is left out.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
# 3GPP TS 23.038, 6.2.1.1: each is sent as ESC and one more septet.
_EXTENSION = frozenset("\f^{}\\[~]|€")


class Encoding(StrEnum):
    GSM7 = "gsm7"
    UCS2 = "ucs2"


# What one SMS holds: alone, and as a part of several, where a header says which part it is.
# In septets for GSM-7, in 16-bit units for UCS-2.
_ROOM = {Encoding.GSM7: (160, 153), Encoding.UCS2: (70, 67)}


@dataclass(frozen=True)
class Segments:
    """count: the SMS that the text takes. units: its length in septets (GSM-7) or 16-bit units (UCS-2)."""

    encoding: Encoding
    count: int
    units: int


def is_gsm7(text: str) -> bool:
    return all(character in _BASIC or character in _EXTENSION for character in text)


def segments(text: str) -> Segments:
    if is_gsm7(text):
        encoding = Encoding.GSM7
        costs = [2 if character in _EXTENSION else 1 for character in text]
    else:
        encoding = Encoding.UCS2
        costs = [2 if character > "\uffff" else 1 for character in text]
    alone, part = _ROOM[encoding]
    units = sum(costs)
    return Segments(encoding, 1 if units <= alone else _packed(costs, part), units)


def _packed(costs: Iterable[int], room: int) -> int:
    """How many parts it takes, filled in order: an escape sequence or a surrogate pair is never cut in two."""
    parts, used = 1, 0
    for cost in costs:
        if used + cost > room:
            parts, used = parts + 1, 0
        used += cost
    return parts
