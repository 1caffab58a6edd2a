"""Public ids of rows that have none of their own: the row's id, encrypted as one block (AES-128).

Such an id looks like a random UUID. It costs large tables neither a column nor an index, and tells nobody how many rows
there are. The key is derived from NUMBER_HASH_KEY, which never changes.
"""

import hashlib
import hmac
import uuid
from enum import IntEnum
from functools import cache

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from django.conf import settings
from django.core.signals import setting_changed

# The block: the kind (1 byte), the id (8 bytes), a further value (4 bytes), and zeros that prove the key (3 bytes).
_ZEROS = bytes(3)


class IdKind(IntEnum):
    """The table that the id is of. An id of one kind is never taken for another."""

    INBOUND_MESSAGE = 1
    API_MESSAGE = 2
    OUTBOUND_MESSAGE = 3
    EVENT = 4
    BLOCK = 5
    PAGE = 6
    """A place in a list in pages."""


@cache
def _cipher() -> Cipher[modes.ECB]:
    key = hmac.digest(settings.NUMBER_HASH_KEY.encode(), b"public ids", hashlib.sha256)[:16]
    return Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - one block, of a unique id


setting_changed.connect(lambda **kwargs: _cipher.cache_clear(), weak=False)


def public_id(kind: IdKind, pk: int, extra: int = 0) -> str:
    """Return the public id of this row, in the form of a UUID. extra: a further value of 32 bits, 0 or more."""
    block = bytes([kind]) + pk.to_bytes(8) + extra.to_bytes(4) + _ZEROS
    encryptor = _cipher().encryptor()
    return str(uuid.UUID(bytes=encryptor.update(block) + encryptor.finalize()))


def row_id(kind: IdKind, text: str) -> tuple[int, int] | None:
    """Return the row's id and the further value of a public id, or None if it is not one of this kind."""
    try:
        token = uuid.UUID(text)
    except ValueError:
        return None
    decryptor = _cipher().decryptor()
    block = decryptor.update(token.bytes) + decryptor.finalize()
    if block[0] != kind or not block.endswith(_ZEROS):
        return None
    return int.from_bytes(block[1:9]), int.from_bytes(block[9:13])
