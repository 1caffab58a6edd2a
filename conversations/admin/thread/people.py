"""The people of a conversation, as its page shows them: masked, with what keeps each from writing or receiving."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property

from conversations.models import Block, Conversation, Participant
from conversations.models.block import begins
from smsproxy.crypto import Unreadable

COLOURS = 6


@dataclass(frozen=True)
class Person:
    """A participant with their present phone and number, or the last ones that they had.

    earlier: the rows of the same position before this one: replaced numbers, and phones that were removed.
    """

    participant: Participant
    earlier: Sequence[Participant]
    blocks: Sequence[Block]
    url: str
    is_left: bool

    @property
    def name(self) -> str:
        return self.participant.name

    @property
    def initial(self) -> str:
        return self.name[:1].upper()

    @property
    def colour(self) -> int:
        return self.participant.position % COLOURS

    @property
    def block_towards_everybody(self) -> Block | None:
        """The active block of this person alone, which no other block can add to here."""
        return next((block for block in self.blocks if block.person_id is not None and block.other_id is None), None)

    @property
    def is_out(self) -> bool:
        return self.participant.is_out


class People:
    """Everybody who is or was in a conversation, by position, loaded in two queries."""

    def __init__(self, conversation: Conversation, request: HttpRequest) -> None:
        self._conversation, self._request = conversation, request
        rows = Participant.objects.filter(conversation=conversation).select_related("real_number", "proxy_number")
        self.rows = list(rows.order_by("position", "pk"))

    @cached_property
    def by_position(self) -> Mapping[int, Person]:
        rows: defaultdict[int, list[Participant]] = defaultdict(list)
        for row in self.rows:
            rows[row.position].append(row)
        blocks = self._blocks()
        may_see = self._request.user.has_perm("numbers.view_realnumber")
        found: dict[int, Person] = {}
        first_side = self.rows[0].side if self.rows else ""
        for position, several in rows.items():
            last = max(several, key=lambda row: (not row.is_out and row.replaced_by_id is None, row.pk))
            found[position] = Person(
                participant=last,
                earlier=[row for row in several if row is not last],
                blocks=[block for block in blocks if _concerns(block, last)],
                url=reverse("admin:numbers_realnumber_change", args=[last.real_number_id]) if may_see else "",
                # The first person, or the first team, is on the left.
                is_left=last.side == first_side if first_side else position == self.rows[0].position,
            )
        return found

    @property
    def current(self) -> Sequence[Person]:
        return [each for each in self.by_position.values() if not each.is_out]

    @property
    def names(self) -> Mapping[int, str]:
        return {position: each.name for position, each in self.by_position.items()}

    @property
    def cool_down_end(self) -> datetime | None:
        """When the last of its numbers is free for others. None if none cools down."""
        return max((row.release_at for row in self.rows if row.release_at and row.released_at is None), default=None)

    @property
    def has_lost_a_number(self) -> bool:
        return any(each.participant.released_at is not None for each in self.current)

    def _blocks(self) -> Iterable[Block]:
        people = {row.real_number_id for row in self.rows}
        concerned = Q(person__in=people) | Q(other__in=people)
        # Which prefix covers a number tells how it begins.
        if self._request.user.has_perm("numbers.reveal_realnumber"):
            concerned |= ~Q(prefix="")
        active = Block.objects.active().in_service(self._conversation.service_id).filter(concerned).order_by("pk")
        # A pair is of interest only if both are here.
        return [block for block in active if block.other_id is None or {block.person_id, block.other_id} <= people]


def _concerns(block: Block, participant: Participant) -> bool:
    if block.prefix:
        number = participant.real_number.number
        return not isinstance(number, Unreadable) and begins((block.prefix,), number)
    return participant.real_number_id in (block.person_id, block.other_id)
