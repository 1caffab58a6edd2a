"""Messages of the marketplace: sent through the API, as itself or as a participant, or by staff in its name."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext as _

from smsproxy.api.models import ApiKey
from smsproxy.crypto import EncryptedTextField
from smsproxy.database.clock import database_now
from smsproxy.unreadable import EncryptedRow

from .conversation import Conversation
from .message_order import ID_IN_ORDER
from .participant import Participant


class ApiMessage(EncryptedRow):
    """A message of the marketplace in a conversation. Each recipient gets an outbound message of it."""

    # No separate index: `api_message_of_conversation` begins with this column.
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="api_messages", db_index=False)
    author = models.ForeignKey(
        Participant,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="api_messages",
        help_text="The participant in whose name it is sent. Empty: the marketplace itself.",
    )
    created_by = models.ForeignKey(
        ApiKey,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        help_text="The API key. Empty: staff wrote it.",
    )
    written_by = models.CharField(
        max_length=150, blank=True, default="", db_default="", help_text="The member of staff who wrote it."
    )
    text = EncryptedTextField(blank=True)
    created_at = models.DateTimeField(default=database_now)

    class Meta:
        verbose_name = "API message"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index("conversation", ID_IN_ORDER, name="api_message_of_conversation")]

    def __str__(self) -> str:
        return _("API message %(id)s") % {"id": self.pk}
