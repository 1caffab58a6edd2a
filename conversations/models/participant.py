"""Participants: the rows that route every inbound message."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self

from django.db import models

from numbers.models import RealNumber, VirtualNumber
from smsproxy.crypto import number_hash
from smsproxy.database.clock import database_now

from .conversation import Conversation
from .message_order import ID_IN_ORDER

# How far the carrier's clock may be behind ours. Its times are in whole seconds.
CLOCK_TOLERANCE = timedelta(seconds=60)
MAX_POSITION = 32_767  # of the column


class ParticipantQuerySet(models.QuerySet["Participant"]):
    def unreleased(self) -> Self:
        """Return participants, open or cooling down, whose pair of numbers nobody else may get."""
        return self.filter(released_at__isnull=True)

    def released(self) -> Self:
        """Return participants whose pair of numbers may be given to others."""
        return self.filter(released_at__isnull=False)

    def current(self) -> Self:
        """Return participants with their present number: each person who is in a conversation once."""
        return self.filter(replaced_by__isnull=True, removed_at__isnull=True)

    def cooling(self) -> Self:
        """Return participants whose pair of numbers cools down: they, or their conversation, have ended."""
        return self.unreleased().filter(release_at__isnull=False)

    def due_for_release(self, at: datetime) -> Self:
        """Return unreleased participants whose cool-down is over."""
        return self.unreleased().filter(release_at__lte=at)

    def together_with(self, other: RealNumber) -> Self:
        """Return participants in a conversation with this person, newest first."""
        return (
            self.current()
            .filter(
                conversation__participants__real_number=other,
                conversation__participants__replaced_by__isnull=True,
                conversation__participants__removed_at__isnull=True,
            )
            .order_by("-pk")
        )

    def of_pair(self, sender: str, recipient: str) -> Self:
        """Return participants who have had this pair of numbers. At most one of them is unreleased."""
        return self.filter(
            real_number__number_hash=number_hash(sender), proxy_number__number_hash=number_hash(recipient)
        ).select_related("conversation", "real_number", "proxy_number")

    def by_live_pair(self, sender: str, recipient: str) -> Self:
        """Return the participant who has this pair of numbers now: one or none, by the constraint `one_live_route`."""
        return self.unreleased().of_pair(sender, recipient)

    def find_author(self, sender: str, recipient: str, since: datetime | None = None) -> "Participant | None":
        """Return the author of a message from this real number to this virtual number, with the conversation locked.

        since: only one who has had this pair of numbers since then, or longer. Another conversation is not locked.
        """
        found = self.by_live_pair(sender, recipient)
        if since is not None:
            found = found.filter(created_at__lte=since)
        return found.select_for_update(no_key=True, of=("conversation",)).first()


class Participant(models.Model):
    """A person in one conversation, and their proxy number in it."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="participants")
    position = models.PositiveSmallIntegerField(
        help_text="The participant's id in the conversation: the position in the request that created it, from 0."
    )
    label = models.CharField(max_length=40, blank=True, help_text="The name that the other participants see.")
    side = models.CharField(
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text="The team: participants with the same side share a proxy number.",
    )
    one_way = models.BooleanField(
        default=False, db_default=False, help_text="This person receives messages. Their own are not passed on."
    )
    # No separate indexes: `participant_of_person` and `participant_of_number` begin with these columns.
    real_number = models.ForeignKey(RealNumber, models.PROTECT, related_name="participants", db_index=False)
    proxy_number = models.ForeignKey(VirtualNumber, models.PROTECT, related_name="participants", db_index=False)
    chosen_by = models.CharField(
        max_length=20,
        blank=True,
        help_text="Why this number was chosen: see Preference in numbers/assignment/choose.py.",
    )
    # Only the few that are not null are indexed, below.
    replaced_by = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="replaces",
        help_text="The same person with the number that replaced this one. Until the cool-down ends, both work.",
    )
    replaced_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(
        null=True, blank=True, help_text="Since then, this phone is no longer in the conversation."
    )
    created_at = models.DateTimeField(
        default=database_now, help_text="Since then, this pair of numbers stands for this conversation."
    )
    release_at = models.DateTimeField(null=True, blank=True, help_text="The end of the cool-down, after closing.")
    released_at = models.DateTimeField(null=True, blank=True, help_text="Since then, the pair may be given to others.")

    objects = ParticipantQuerySet.as_manager()

    class Meta:
        ordering = ["conversation_id", "position"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(replaced_by__isnull=True, replaced_at__isnull=True)
                | models.Q(replaced_by__isnull=False, replaced_at__isnull=False),
                name="replaced_by_needs_replaced_at",
            ),
            models.UniqueConstraint(
                fields=["real_number", "proxy_number"],
                condition=models.Q(released_at__isnull=True),
                name="one_live_route",
            ),
            models.UniqueConstraint(
                fields=["conversation", "real_number"],
                condition=models.Q(replaced_by__isnull=True, removed_at__isnull=True),
                name="a_person_once_in_a_conversation",
            ),
            models.UniqueConstraint(
                fields=["conversation", "position"],
                condition=models.Q(replaced_by__isnull=True, removed_at__isnull=True),
                name="one_participant_at_a_position",
            ),
        ]
        indexes = [
            # For the periodic job that ends cool-downs.
            models.Index(
                "release_at",
                condition=models.Q(released_at__isnull=True, release_at__isnull=False),
                name="participant_cooling_down",
            ),
            # For staff: the newest conversations of a person, and those that use a virtual number.
            models.Index("real_number", ID_IN_ORDER, name="participant_of_person"),
            models.Index("proxy_number", ID_IN_ORDER, name="participant_of_number"),
            # For the deletion of participants: the foreign key looks for rows that point to them.
            models.Index("replaced_by", condition=models.Q(replaced_by__isnull=False), name="participant_replaced"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return self.label or f"Person {self.position + 1}"

    @property
    def is_out(self) -> bool:
        """Whether this phone is no longer in the conversation: it was removed, or the person has another phone."""
        return self.removed_at is not None

    @property
    def is_current(self) -> bool:
        """Whether this is the person with their present number."""
        return self.replaced_by_id is None and not self.is_out

    def is_named_to(self, others: Sequence["Participant"]) -> bool:
        """Return whether a text of this person says who wrote it: to several people, or to somebody of their side."""
        return len(others) > 1 or any(self.side and other.side == self.side for other in others)

    @property
    def current(self) -> "Participant":
        """The same person with their present number."""
        current = self
        while current.replaced_by is not None:
            current = current.replaced_by
        return current

    def is_younger_than(self, written_at: datetime, *, first_part_at: datetime | None = None) -> bool:
        """Return whether a text is older than this pair's place in this conversation, so that it must not get it.

        written_at: the earliest time known of the text, such as the carrier's. It may be CLOCK_TOLERANCE too early,
        but the tolerance never reaches back to when the pair stood for other people: the text may be for them.
        first_part_at: the arrival of the first part of a long message. Its clock is ours, so nothing is tolerated.
        """
        if first_part_at is not None and first_part_at < self.created_at:
            return True
        if written_at >= self.created_at:
            return False
        return written_at < self.created_at - CLOCK_TOLERANCE or self._stood_for_others_after(written_at)

    def predecessor(self, at: datetime) -> "Participant | None":
        """Return the participant of an earlier conversation who had this pair of numbers at that time, or None."""
        earlier = self._same_pair().released().filter(created_at__lte=at, pk__lt=self.pk)
        return earlier.select_related("conversation", "proxy_number").order_by("-pk").first()

    def _stood_for_others_after(self, at: datetime) -> bool:
        """Return whether, after that time, a conversation with anybody else still had this pair of numbers."""
        earlier = self._same_pair().filter(released_at__gt=at).values("conversation")
        ours = Participant.objects.filter(conversation=self.conversation_id).values("real_number")
        return Participant.objects.filter(conversation__in=earlier).exclude(real_number__in=ours).exists()

    def _same_pair(self) -> ParticipantQuerySet:
        return Participant.objects.filter(real_number=self.real_number_id, proxy_number=self.proxy_number_id)

    def others(self) -> models.QuerySet["Participant"]:
        """Return the other participants with their present numbers, in order."""
        return (
            Participant.objects.current()
            .filter(conversation=self.conversation_id)
            .exclude(real_number=self.real_number_id)
            .select_related("conversation", "real_number", "proxy_number")
            .order_by("position")
        )
