"""What a member of staff has uncovered, for some minutes."""

from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from smsproxy.database.clock import DatabaseNow


class RevealKind(models.TextChoices):
    NUMBER = "number", _("the number in full")
    """The number of a person. object_id: of their real number's row."""
    TEXTS = "texts", _("the texts")
    """The texts of a conversation. object_id: of the conversation's row."""
    STRANGER_TEXT = "stranger_text", _("the text")
    """One text without a conversation. object_id: of the inbound message's row."""


class RevealQuerySet(models.QuerySet["Reveal"]):
    def active(self) -> Self:
        return self.filter(until__gt=DatabaseNow())

    def over(self) -> Self:
        return self.filter(until__lte=DatabaseNow())


class Reveal(models.Model):
    """A number or texts that one member of staff sees until a moment. The audit keeps the reason for good."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=20, choices=RevealKind.choices)
    object_id = models.BigIntegerField()
    reason = models.CharField(max_length=200)
    until = models.DateTimeField()

    objects = RevealQuerySet.as_manager()

    class Meta:
        verbose_name = _("reveal")
        verbose_name_plural = _("reveals")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "kind", "object_id"], name="one_reveal_of_each"),
        ]
        indexes: ClassVar = [models.Index("until", name="reveal_until")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} until {self.until:%H:%M} UTC"
