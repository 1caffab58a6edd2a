"""The page that asks whether to reopen a conversation: what a reopening would really do now."""

from dataclasses import replace

from django.utils.translation import gettext as _

from conversations.admin.thread.acts import REOPEN
from conversations.models import Conversation
from smsproxy.staff.acts import Act


def reopen_act(conversation: Conversation) -> Act[Conversation]:
    """Return REOPEN with its effect on this conversation."""
    if conversation.held_at is not None:
        return replace(
            REOPEN,
            effect=_(
                "It stays on hold: its texts are stored and not passed on until somebody releases the hold. "
                "Its time starts again."
            ),
        )
    return REOPEN
