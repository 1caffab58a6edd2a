"""The base of the pages of messages. A body is covered until staff reveal the texts of its conversation."""

from typing import Any, ClassVar

from smsproxy.staff.covered_admin import CoveredAdmin
from smsproxy.staff.models import RevealKind


class MessageAdmin(CoveredAdmin):
    """A message. Its body is shown on its own page only, under a reveal."""

    needs: ClassVar = {
        "text": ["conversations.read_message_text"],
        # The raw webhook also contains the sender's number.
        "raw": ["conversations.read_message_text", "numbers.reveal_realnumber"],
    }

    def conversation_id(self, row: Any) -> int | None:
        """Return the conversation to which the row belongs, or None."""
        found: int | None = row.conversation_id
        return found

    def reveal_of(self, row: Any) -> tuple[RevealKind, int] | None:
        conversation_id = self.conversation_id(row)
        return (RevealKind.TEXTS, conversation_id) if conversation_id is not None else None
