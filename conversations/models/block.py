"""Blocks by staff or by a marketplace: whose messages are not passed on, in which service, and until when."""

from typing import ClassVar, NamedTuple, Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _

from numbers.models import RealNumber
from smsproxy.database.clock import DatabaseNow
from smsproxy.opaque_ids import IdKind, public_id
from smsproxy.phone import canonical
from smsproxy.services.models import Service
from smsproxy.states import StaleState


class BlockQuerySet(models.QuerySet["Block"]):
    def active(self) -> Self:
        """Return the blocks that apply now."""
        still = models.Q(until__isnull=True) | models.Q(until__gt=DatabaseNow())
        return self.filter(still, ended_at__isnull=True)

    def in_service(self, service_id: int | None) -> Self:
        """Return the blocks that concern the conversations of this service: its own, and those of every service."""
        return self.filter(models.Q(service__isnull=True) | models.Q(service=service_id))

    def of(self, person: RealNumber | None, other: RealNumber | None = None, prefix: str = "") -> Self:
        """Return the blocks of this person, of this pair in either order, or of this prefix."""
        if other is None:
            return self.filter(person=person, other=None, prefix=prefix)
        return self.filter(models.Q(person=person, other=other) | models.Q(person=other, other=person))

    def of_sender(self, person_id: int | None, number: str | None) -> "BlockedSender":
        """Return towards whom this person is blocked. person_id: None if we do not know them. number: E.164, or None.

        Staff block few prefixes: all of them are read.
        """
        concerned = ~models.Q(prefix="")
        if person_id is not None:
            concerned |= models.Q(person=person_id) | models.Q(other=person_id)
        towards_everybody, people = False, set()
        for prefix, *pair in self.active().filter(concerned).values_list("prefix", "person", "other"):
            if prefix:
                towards_everybody |= number is not None and begins((prefix,), number)
            elif pair[1] is None:
                towards_everybody = True
            else:
                people |= set(pair) - {person_id}
        return BlockedSender(towards_everybody, frozenset(people))


class BlockedSender(NamedTuple):
    """Towards whom a person is blocked: everybody, or these people, by their ids."""

    towards_everybody: bool = False
    towards: frozenset[int] = frozenset()


def begins(prefixes: tuple[str, ...], number: str) -> bool:
    """Return whether one of these prefixes begins this E.164 number, in its canonical spelling."""
    return canonical(number).startswith(prefixes)


class Block(models.Model):
    """A person, a pair of people, or all numbers with a prefix, whose messages are not passed on."""

    service = models.ForeignKey(
        Service,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="blocks",
        help_text="The service whose conversations it concerns. Empty: those of every service.",
    )
    person = models.ForeignKey(RealNumber, models.PROTECT, null=True, blank=True, related_name="blocks")
    other = models.ForeignKey(
        RealNumber,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The other person of a blocked pair. Empty: the person is blocked towards everybody.",
    )
    prefix = models.CharField(
        max_length=12, blank=True, help_text="The beginning of the blocked numbers in E.164, such as +88213."
    )
    reason = models.CharField(max_length=200, help_text="The reason, without real numbers or texts.")
    created_by = models.CharField(max_length=150, help_text="The member of staff.")
    created_at = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField(null=True, blank=True, help_text="Empty: until somebody ends it.")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, blank=True)
    ended_reason = models.CharField(max_length=200, blank=True)

    objects = BlockQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(person__isnull=False, prefix="")
                | models.Q(person__isnull=True, other__isnull=True) & ~models.Q(prefix=""),
                name="block_of_person_or_prefix",
            )
        ]
        indexes: ClassVar = [
            # For each inbound message: is there any block of a prefix?
            models.Index(
                "prefix",
                condition=models.Q(ended_at__isnull=True) & ~models.Q(prefix=""),
                name="block_of_prefix",
            )
        ]

    def __str__(self) -> str:
        return _("block %(id)s") % {"id": self.pk}

    @property
    def public_id(self) -> str:
        """Its id in the API."""
        return public_id(IdKind.BLOCK, self.pk)

    @property
    def is_active(self) -> bool:
        return self.ended_at is None and (self.until is None or self.until > timezone.now())

    def end(self, *, reason: str, actor: str) -> Self:
        """End the block. Raises StaleState if it has ended already."""
        changes = {"ended_at": timezone.now(), "ended_by": actor, "ended_reason": reason[:200]}
        if Block.objects.active().filter(pk=self.pk).update(**changes) != 1:
            raise StaleState(f"block {self.pk} has ended already")
        for field, value in changes.items():
            setattr(self, field, value)
        return self
