"""Episodes of trouble: when each began and ended. insight/troubles/ finds and notes them."""

from datetime import datetime, timedelta
from typing import Self

from django.db import IntegrityError, models, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from smsproxy.events.record import NewEvent, record
from smsproxy.events.types import EventType
from smsproxy.version import VERSION

# An episode that no process has confirmed for this long is over, whichever version began it.
FORGOTTEN_AFTER = timedelta(minutes=5)


class TroubleEpisodeQuerySet(models.QuerySet["TroubleEpisode"]):
    def active(self) -> Self:
        return self.filter(ended_at=None)

    def begin(self, kind: str, sentence: str, *, at: datetime) -> bool:
        """Store that a trouble begins. Return False if another process was first."""
        try:
            with transaction.atomic():
                self.create(kind=kind, sentence=sentence, version=VERSION, began_at=at, confirmed_at=at)
                _announce(EventType.TROUBLE_BEGAN, kind, sentence)
        except IntegrityError:
            return False
        return True

    def ended_before(self, at: datetime) -> Self:
        return self.filter(ended_at__lt=at).order_by("ended_at")


class TroubleEpisode(models.Model):
    """A trouble from its begin to its end. At most one episode of a kind is active."""

    kind = models.CharField(max_length=40)
    sentence = models.TextField(help_text="What was wrong, as last seen.")
    version = models.CharField(max_length=40, help_text="The version of the process that saw it first.")
    began_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(help_text="When a process last saw it.")
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = TroubleEpisodeQuerySet.as_manager()

    class Meta:
        ordering = ["-began_at"]
        constraints = [
            models.UniqueConstraint(fields=["kind"], condition=Q(ended_at=None), name="one_active_episode_a_kind")
        ]
        indexes = [models.Index(fields=["ended_at"], name="trouble_episode_ended")]

    def __str__(self) -> str:
        return _("%(kind)s since %(at)s UTC") % {"kind": self.kind, "at": f"{self.began_at:%Y-%m-%d %H:%M}"}

    def confirm(self, sentence: str, *, at: datetime) -> None:
        TroubleEpisode.objects.active().filter(pk=self.pk).update(sentence=sentence, confirmed_at=at)

    def may_end(self, version: str, *, at: datetime) -> bool:
        """Return whether a process of this version, which does not see the trouble, may end it.

        While an upgrade is under way, the old version may not know a trouble of the new one.
        """
        return version == self.version or at - self.confirmed_at > FORGOTTEN_AFTER

    def end(self, *, at: datetime) -> bool:
        """Store that the trouble has ended. Return False if another process was first."""
        with transaction.atomic():
            is_first = bool(TroubleEpisode.objects.active().filter(pk=self.pk).update(ended_at=at))
            if is_first:
                _announce(EventType.TROUBLE_ENDED, self.kind, self.sentence)
        return is_first


def _announce(type_: EventType, kind: str, sentence: str) -> None:
    record(NewEvent(type=type_, service_id=None, data={"kind": kind, "sentence": sentence}))
