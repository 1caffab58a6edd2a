"""The texts of items: covered, or shown to who has uncovered them. The audit records each that is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from conversations.models import InboundMessage, OutboundMessage
from smsproxy.staff import audit
from smsproxy.staff.models import AuditAction, Reveal, RevealKind
from smsproxy.staff.reveal_pages import may_reveal


@dataclass(kw_only=True)
class Line:
    """A text of an item. kind, object_id: of the reveal that shows it. shown: the active one, or None.

    words: what it says, if it is shown.
    """

    row: Any
    kind: RevealKind
    object_id: int
    shown: Reveal | None = None
    words: str = ""


def lines_of(request: HttpRequest, rows: Sequence[InboundMessage | OutboundMessage]) -> Mapping[int, Line]:
    """Return the lines of these messages, all inbound or all outbound, by their ids.

    A stranger's text is uncovered by itself, and an outbound message with its conversation. One without is left out.
    """
    lines = [line for row in rows if (line := _line(row))]
    if lines and may_reveal(request, lines[0].kind):
        reveals = _reveals(request, lines[0].kind, {line.object_id for line in lines})
        for line in lines:
            if shown := reveals.get(line.object_id):
                line.shown, line.words = shown, _words(request, line.row)
                audit.record(request, AuditAction.SAW, line.row, detail="its text, in the inbox")
    return {line.row.pk: line for line in lines}


def _line(row: InboundMessage | OutboundMessage) -> Line | None:
    if isinstance(row, InboundMessage):
        return Line(row=row, kind=RevealKind.STRANGER_TEXT, object_id=row.pk)
    if row.conversation_id is None:
        return None
    return Line(row=row, kind=RevealKind.TEXTS, object_id=row.conversation_id)


def _reveals(request: HttpRequest, kind: RevealKind, ids: set[int]) -> Mapping[int, Reveal]:
    active = Reveal.objects.active().filter(user=request.user.pk, kind=kind, object_id__in=ids)
    return {each.object_id: each for each in active}


def _words(request: HttpRequest, row: InboundMessage | OutboundMessage) -> str:
    """Return the text. The raw webhook, which holds the sender's number, needs that right, too."""
    if row.text:
        return row.text
    if not isinstance(row, InboundMessage) or not row.raw:
        return _("It is empty, or was erased.")
    if request.user.has_perm("numbers.reveal_realnumber"):
        return row.raw
    return _("The raw message holds a phone number. To see it, you need the right numbers.reveal_realnumber.")
