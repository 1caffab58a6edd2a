"""The cursor of a list of messages: a position in a conversation, encrypted, so that it tells nobody any counts."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from conversations.insight.message_history import Position
from conversations.models import Conversation
from smsproxy.opaque_ids import IdKind, public_id, row_id

_KINDS = (IdKind.INBOUND_MESSAGE, IdKind.API_MESSAGE, IdKind.OUTBOUND_MESSAGE)
_FORM = re.compile(r"[A-Za-z0-9_-]{64}", re.ASCII)


def encode_cursor(conversation: Conversation, position: Position) -> str:
    """Return the cursor of this position: one block for each table, bound to the conversation."""
    blocks = [public_id(kind, pk, _mark(conversation)) for kind, pk in zip(_KINDS, position, strict=True)]
    return urlsafe_b64encode(b"".join(UUID(block).bytes for block in blocks)).decode()


def decode_cursor(conversation: Conversation, text: str) -> Position | None:
    """Return the position, or None if this is no cursor of this conversation."""
    if not _FORM.fullmatch(text):
        return None
    data = urlsafe_b64decode(text)
    ids = []
    for place, kind in enumerate(_KINDS):
        found = row_id(kind, str(UUID(bytes=data[16 * place : 16 * place + 16])))
        if found is None or found[1] != _mark(conversation):
            return None
        ids.append(found[0])
    return Position(*ids)


def _mark(conversation: Conversation) -> int:
    """Return the 32 bits that bind a cursor to its conversation. They are never 0, as in the id of a message."""
    return conversation.pk % (2**32 - 1) + 1
