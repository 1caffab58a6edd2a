"""A QR code as one path of SVG. The template draws it: no style and no script is needed."""

from typing import NamedTuple

import segno

_QUIET = 4  # The empty border that readers need, in modules.


class QrCode(NamedTuple):
    """path: of the dark modules. size: of the square, in modules, with its border."""

    path: str
    size: int

    @classmethod
    def of(cls, text: str) -> "QrCode":
        rows = list(segno.make(text, error="m", micro=False).matrix)
        path = "".join(
            f"M{x + _QUIET} {y + _QUIET}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark
        )
        return cls(path, len(rows) + 2 * _QUIET)
