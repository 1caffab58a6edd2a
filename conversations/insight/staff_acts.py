"""What staff did to the people and the texts of a conversation, for its thread: blocks, and acts that the audit keeps.

They are few, so all of them are read, in five queries at most.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from django.db.models import Q

from conversations.models import Block, Conversation, InboundMessage, OutboundMessage, Participant
from smsproxy.staff.models import AuditAction, AuditEntry

MOST = 200
"""The newest blocks, and the newest entries of the audit about these people, that are read."""


class Did(Enum):
    BLOCKED = "block"
    UNBLOCKED = "unblock"
    TEXTED = "text"
    """They sent a text to everybody."""
    PASSED_ON = "attach"
    """They passed on texts from the inbox."""
    SENT_AGAIN = "resend"


# By the names of the acts in the audit: what they are done to.
_OBJECTS: Mapping[Did, Any] = {
    Did.TEXTED: Conversation,
    Did.PASSED_ON: InboundMessage,
    Did.SENT_AGAIN: OutboundMessage,
}


@dataclass(frozen=True, kw_only=True)
class StaffAct:
    """One act. position: of the participant whom it concerns. other: of the second one of a pair. until: of a block."""

    at: datetime
    did: Did
    actor: str
    reason: str
    position: int | None = None
    other: int | None = None
    until: datetime | None = None

    @property
    def is_of_block(self) -> bool:
        return self.did in (Did.BLOCKED, Did.UNBLOCKED)


def staff_acts(conversation: Conversation) -> Sequence[StaffAct]:
    """Return the acts since the conversation was created, the oldest first."""
    places = Participant.objects.filter(conversation=conversation).order_by("pk")
    positions = dict(places.values_list("real_number", "position"))
    found = [*_blocks(conversation, positions), *_audited(conversation, positions)]
    return sorted(found, key=lambda act: act.at)


def _blocks(conversation: Conversation, positions: Mapping[int, int]) -> Iterator[StaffAct]:
    """Yield the beginning and the end of each block of these people in this service. A pair is blocked if both are."""
    both = Q(person__in=positions) & (Q(other=None) | Q(other__in=positions))
    blocks = Block.objects.in_service(conversation.service_id).filter(both).order_by("-pk")
    for block in blocks[:MOST]:
        begin = StaffAct(
            at=block.created_at,
            did=Did.BLOCKED,
            actor=block.created_by,
            reason=block.reason,
            position=positions.get(block.person_id or 0),
            other=positions.get(block.other_id or 0),
            until=block.until,
        )
        if begin.at >= conversation.created_at:
            yield begin
        if block.ended_at is not None and block.ended_at >= conversation.created_at:
            end = replace(begin, did=Did.UNBLOCKED, at=block.ended_at, actor=block.ended_by)
            yield replace(end, reason=block.ended_reason)


def _audited(conversation: Conversation, positions: Mapping[int, int]) -> Iterator[StaffAct]:
    """Yield the acts that only the audit has with their reasons."""
    wanted = Q()
    for did, model in _OBJECTS.items():
        wanted |= Q(detail=did.value, object_type=model._meta.label_lower)
    about = AuditEntry.objects.filter(wanted, action=AuditAction.DID, at__gte=conversation.created_at)
    entries = list(about.filter(people__person_id__in=positions).distinct().order_by("-pk")[:MOST])
    texts = InboundMessage.objects.filter(participant__conversation=conversation)
    messages = OutboundMessage.objects.filter(conversation=conversation)
    whose: Mapping[Did, Mapping[str, int | None]] = {
        Did.TEXTED: {str(conversation.pk): None},
        Did.PASSED_ON: _positions(texts, _ids(entries, Did.PASSED_ON)),
        Did.SENT_AGAIN: _positions(messages, _ids(entries, Did.SENT_AGAIN)),
    }
    for entry in entries:
        did = Did(entry.detail)
        if entry.object_id in whose[did]:
            position = whose[did][entry.object_id]
            yield StaffAct(at=entry.at, did=did, actor=entry.actor, reason=entry.reason, position=position)


def _ids(entries: Sequence[AuditEntry], did: Did) -> Sequence[int]:
    return [int(entry.object_id) for entry in entries if entry.detail == did.value]


def _positions(rows: Any, ids: Sequence[int]) -> Mapping[str, int | None]:
    """Return the positions of the participants of those of these messages that are in the conversation."""
    found = rows.filter(pk__in=ids).values_list("pk", "participant__position") if ids else ()
    return {str(pk): position for pk, position in found}
