"""Acts on a conversation whose page says what they would do to it as it is now."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from conversations.admin.thread.acts import EXTEND, LATER_BY, REOPEN, ExtendForm
from conversations.lifecycle.reopen import refuse_participants
from conversations.lifecycle.request import CannotCreate
from conversations.models import Conversation
from smsproxy.staff.acts import Act


def reopen_act(conversation: Conversation, *, may_see_people: bool) -> Act[Conversation]:
    """Return REOPEN with its effect on this conversation. may_see_people: whether to link a person who prevents it."""
    try:
        refuse_participants(conversation)
    except CannotCreate as error:
        participant = conversation.current_participants[error.position]
        told = _("It cannot be reopened now: %(person)s %(problem)s. End that first.")
        told %= {"person": participant.name, "problem": error.detail}
        if may_see_people:
            url = reverse("admin:numbers_realnumber_change", args=[participant.real_number_id])
            told = format_html('{} <a href="{}">{}</a>', told, url, participant.name)
        return replace(REOPEN, effect=told)
    if conversation.held_at is not None:
        return replace(
            REOPEN,
            effect=_(
                "It stays on hold: its texts are stored and not passed on until somebody releases the hold. "
                "Its time starts again."
            ),
        )
    return REOPEN


def extend_act(conversation: Conversation) -> Act[Conversation]:
    """Return EXTEND with the present end of this conversation, and the end that each choice leads to."""
    end = conversation.expires_at
    if end is None:
        return EXTEND
    choices = [(seconds, _with_end(words, end, seconds)) for seconds, words in LATER_BY]

    class ExtendNowForm(ExtendForm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.fields["seconds"].choices = choices  # type: ignore[attr-defined]

    told = _("It ends %(end)s UTC.") % {"end": f"{end:%Y-%m-%d %H:%M}"}
    return replace(EXTEND, effect=f"{told} {EXTEND.effect}", form=ExtendNowForm)


def _with_end(words: Any, end: datetime, seconds: int) -> str:
    try:
        later = end + timedelta(seconds=seconds)
    except OverflowError:  # A stored end may be near the year 9999.
        return str(words)
    return _("%(words)s (to %(end)s)") % {"words": words, "end": f"{later:%Y-%m-%d %H:%M}"}
