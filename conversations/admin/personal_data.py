"""Pages of records with texts, which staff reveal for each conversation."""

from typing import Any

from smsproxy.staff.covered_admin import CoveredAdmin
from smsproxy.staff.models import RevealKind


class PersonalDataAdmin(CoveredAdmin):
    """A record with texts. The reveal of its conversation uncovers them."""

    def conversation_id(self, row: Any) -> int | None:
        """Return the conversation to which the row belongs, or None."""
        found: int | None = row.conversation_id
        return found

    def reveal_of(self, row: Any) -> tuple[RevealKind, int] | None:
        conversation_id = self.conversation_id(row)
        return (RevealKind.TEXTS, conversation_id) if conversation_id is not None else None
