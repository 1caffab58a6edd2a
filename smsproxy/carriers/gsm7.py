"""Segments of a message and their encoding: GSM 7-bit (3GPP TS 23.038) if the text fits it, otherwise UCS-2.

Each segment is one SMS: billed, and counted against the rate limits, on its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# 3GPP TS 23.038, 6.2.1, in code order, without ESC (0x1B), which only announces the extension table.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
# 3GPP TS 23.038, 6.2.1.1: each is sent as ESC and one more septet.
_EXTENSION = frozenset("\f^{}\\[~]|€")


class Encoding(StrEnum):
    GSM7 = "gsm7"
    UCS2 = "ucs2"


# The room in one SMS: alone, and as one of several, each with a header that says which part it is.
# In septets for GSM-7, in 16-bit units for UCS-2.
_ROOM = {Encoding.GSM7: (160, 153), Encoding.UCS2: (70, 67)}


@dataclass(frozen=True)
class Segments:
    """The size of a text. count: in SMS. units: in septets (GSM-7) or 16-bit units (UCS-2)."""

    encoding: Encoding
    count: int
    units: int


def is_gsm7(text: str) -> bool:
    """Return whether GSM 7-bit has every character of the text."""
    return all(character in _BASIC or character in _EXTENSION for character in text)


def segments(text: str) -> Segments:
    """Return the size and the encoding of this text."""
    encoding, costs = _costs(text)
    return Segments(encoding, 1 + len(_cuts(costs, encoding)), sum(costs))


def split(text: str) -> list[str]:
    """Return the text of each SMS. No cut falls into an escape sequence or a surrogate pair."""
    encoding, costs = _costs(text)
    cuts = _cuts(costs, encoding)
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def _costs(text: str) -> tuple[Encoding, list[int]]:
    """Return the encoding, and the units that each character takes."""
    if is_gsm7(text):
        return Encoding.GSM7, [2 if character in _EXTENSION else 1 for character in text]
    return Encoding.UCS2, [2 if character > "\uffff" else 1 for character in text]


def _cuts(costs: Sequence[int], encoding: Encoding) -> list[int]:
    """Return where each SMS after the first begins. Each one is filled before the next."""
    alone, room = _ROOM[encoding]
    if sum(costs) <= alone:
        return []
    cuts, used = [], 0
    for position, cost in enumerate(costs):
        if used + cost > room:
            cuts.append(position)
            used = 0
        used += cost
    return cuts
