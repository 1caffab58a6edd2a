"""Participants: the rows that route every inbound text."""

from datetime import datetime
from typing import Self

from django.db import models

from numbers.models import RealNumber, VirtualNumber
from smsproxy.crypto import keyed_hash

from .conversation import Conversation


class ParticipantQuerySet(models.QuerySet["Participant"]):
    def unreleased(self) -> Self:
        """Open or cooling down: their pair of numbers is theirs alone."""
        return self.filter(released_at__isnull=True)

    def released(self) -> Self:
        """Their pair of numbers may be given to others, or has been."""
        return self.filter(released_at__isnull=False)

    def current(self) -> Self:
        """Those whose number was not replaced by another: each person in a conversation once."""
        return self.filter(replaced_by__isnull=True)

    def cooling(self) -> Self:
        """Of conversations that have ended, and not given to anybody else yet."""
        return self.unreleased().filter(release_at__isnull=False)

    def cooled_down(self, at: datetime) -> Self:
        """Unreleased, though their cool-down is over."""
        return self.unreleased().filter(release_at__lte=at)

    def together_with(self, other: RealNumber) -> Self:
        """Those in a conversation with this other person, the newest first."""
        return (
            self.current()
            .filter(conversation__participants__real_number=other, conversation__participants__replaced_by__isnull=True)
            .order_by("-pk")
        )

    def of_pair(self, sender: str, recipient: str) -> Self:
        """Those for whom this real number and this virtual number have stood. One of them at most is unreleased."""
        return self.filter(real_number__number_hash=keyed_hash(sender), proxy_number__number=recipient).select_related(
            "conversation", "real_number", "proxy_number"
        )

    def on_route(self, sender: str, recipient: str) -> Self:
        """Who wrote: the one participant, or nobody, whom a text from this real number to this virtual number is from.

        This look-up decides where an inbound text goes. The constraint `one_live_route` makes it unambiguous. (On
        PostgreSQL the ordinary text is routed by `hotpath.find`, which says the same.)
        """
        return self.unreleased().of_pair(sender, recipient)

    def route(self, sender: str, recipient: str) -> "Participant | None":
        """The same, for a text that is being taken in.

        It locks the conversation until the transaction ends: so what two texts of one conversation queue becomes
        visible in the order of its ids, in which it is sent; and nothing is queued once `close` has returned.
        """
        return self.on_route(sender, recipient).select_for_update(no_key=True, of=("conversation",)).first()


class Participant(models.Model):
    """A person in one conversation, and the virtual number that they text and get texts from in it."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="participants")
    position = models.PositiveSmallIntegerField(
        help_text="The place in the request that made the conversation, from 0."
    )
    label = models.CharField(max_length=40, blank=True, help_text="What the others see instead of a number.")
    real_number = models.ForeignKey(RealNumber, models.PROTECT, related_name="participants")
    proxy_number = models.ForeignKey(VirtualNumber, models.PROTECT, related_name="participants")
    chosen_by = models.CharField(
        max_length=20, blank=True, help_text="Why they got this number of all: numbers/assignment.py, Preference."
    )
    # Without an index: only whether there is one is asked.
    replaced_by = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="replaces",
        help_text="Themselves, with another number that they were given since. This one still reaches them meanwhile.",
    )
    replaced_at = models.DateTimeField(null=True, blank=True)
    release_at = models.DateTimeField(null=True, blank=True, help_text="The end of the cool-down, once closed.")
    released_at = models.DateTimeField(null=True, blank=True, help_text="Since then the pair may be given to others.")

    objects = ParticipantQuerySet.as_manager()

    class Meta:
        ordering = ["conversation_id", "position"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(replaced_by__isnull=True, replaced_at__isnull=True)
                | models.Q(replaced_by__isnull=False, replaced_at__isnull=False),
                name="who_is_replaced_was_so_at_a_time",
            ),
            models.UniqueConstraint(
                fields=["real_number", "proxy_number"],
                condition=models.Q(released_at__isnull=True),
                name="one_live_route",
            ),
            models.UniqueConstraint(
                fields=["conversation", "real_number"],
                condition=models.Q(replaced_by__isnull=True),
                name="a_person_once_in_a_conversation",
            ),
            models.UniqueConstraint(
                fields=["conversation", "position"],
                condition=models.Q(replaced_by__isnull=True),
                name="a_position_once_in_a_conversation",
            ),
        ]
        indexes = [
            # The sweep that ends cool-downs.
            models.Index(
                "release_at",
                condition=models.Q(released_at__isnull=True, release_at__isnull=False),
                name="participant_cooling_down",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return self.label or f"Person {self.position + 1}"

    @property
    def now(self) -> "Participant":
        """The same person with the number that they have now."""
        current = self
        while current.replaced_by is not None:
            current = current.replaced_by
        return current

    def has_followed_others_since(self, at: datetime) -> bool:
        """Did this pair of numbers stand for another conversation at that time?"""
        same_pair = Participant.objects.filter(real_number=self.real_number_id, proxy_number=self.proxy_number_id)
        return same_pair.filter(released_at__gt=at).exists()

    def others(self) -> models.QuerySet["Participant"]:
        """Everybody else in the conversation, with the number that they have now, in order."""
        return (
            Participant.objects.current()
            .filter(conversation=self.conversation_id)
            .exclude(real_number=self.real_number_id)
            .select_related("conversation", "real_number", "proxy_number")
            .order_by("position")
        )
