"""The states of a conversation, and what happens to messages after its end."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class ConversationState(models.TextChoices):
    OPEN = "open", _("open")
    """Its participants may text each other until it expires."""
    CLOSED = "closed", _("closed")
    """It has ended. Its pairs of numbers cool down, and may then be given to others."""


class LateMessagePolicy(models.TextChoices):
    """The policy for a message that arrives after the end, while the numbers cool down."""

    END = "end", _("reply “conversation ended”")
    """Nobody receives it, and its sender gets ENDED_NOTICE."""
    REOPEN = "reopen", _("reopen the conversation")
    """The conversation reopens, for as long as its first ttl."""
