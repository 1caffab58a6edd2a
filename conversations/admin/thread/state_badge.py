"""The state of a conversation at a glance, on its page and in the list."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from conversations.models import Conversation, ConversationState


@dataclass(frozen=True)
class Badge:
    """tone: "good", "warn" or "quiet". since: when it came to this state. why: in words."""

    tone: str
    mark: str
    words: str
    since: datetime | None = None
    why: str = ""

    def html(self) -> SafeString:
        badge = format_html('<span class="badge {}">{} {}</span>', self.tone, self.mark, self.words)
        return format_html('{} <span class="muted">{}</span>', badge, self.why) if self.why else badge


def badge_of(conversation: Conversation) -> Badge:
    """Return its state as it is now. Its time may be up before the periodic job has closed it."""
    if conversation.state == ConversationState.CLOSED:
        return Badge("quiet", "■", _("Closed"), conversation.closed_at, _why(conversation.closed_reason))
    if conversation.status_now != ConversationState.OPEN:
        ends = [end for end in (conversation.expires_at, conversation.idle_at) if end is not None]
        return Badge("quiet", "■", _("Ended"), min(ends), _("its time is over"))
    if conversation.held_at is not None:
        return Badge("warn", "‖", _("On hold"), conversation.held_at, conversation.held_reason)
    return Badge("good", "●", _("Open"), conversation.reopened_at or conversation.created_at)


def _why(reason: str) -> Any:
    words = {"expired": _("its time was over"), "idle": _("nobody wrote for too long"), "closed": ""}
    return words.get(reason, reason)
