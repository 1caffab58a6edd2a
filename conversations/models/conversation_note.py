"""Internal notes of staff about a conversation. No participant and no marketplace sees them."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext as _

from smsproxy.crypto import EncryptedTextField
from smsproxy.database.clock import database_now
from smsproxy.unreadable import EncryptedRow

from .conversation import Conversation


class ConversationNote(EncryptedRow):
    """A note of one member of staff for the others. Its text is erased when those of messages are."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="notes")
    text = EncryptedTextField(blank=True, help_text="In words, without phone numbers.")
    author = models.CharField(max_length=150, help_text="The user name of the member of staff.")
    created_at = models.DateTimeField(default=database_now)

    class Meta:
        verbose_name = "internal note"
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return _("note %(id)s") % {"id": self.pk}
