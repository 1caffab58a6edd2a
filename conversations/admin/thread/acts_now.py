"""Acts on a conversation whose page says what they would do to it as it is now."""

from dataclasses import replace

from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from conversations.admin.thread.acts import REOPEN
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
