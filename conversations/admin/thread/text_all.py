"""Text the participants as the service: a preview with its price, and then the sending."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.admin.previewed_text import PreviewedTextForm
from conversations.admin.thread.acts import is_open
from conversations.lifecycle.participants import members_of
from conversations.lifecycle.request import OverLimit
from conversations.lifecycle.send_message import (
    CannotSend,
    ConversationEnded,
    HasOptedOut,
    NewMessage,
    OnHold,
    TooLong,
    send_message,
)
from conversations.models import ApiMessage, Conversation
from smsproxy.database.clock import database_now
from smsproxy.staff.acts import Act, ActRefused

NOT_TWICE_WITHIN = timedelta(minutes=5)
"""Who sends a text within this time that staff have sent here already, has clicked twice or did not see the other."""


class TextForm(PreviewedTextForm):
    """The text to everybody."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["text"].help_text = _(
            "They get exactly this text, each from their own number of this conversation."
        )


def estimate(conversation: Conversation, form: TextForm) -> dict[str, Any]:
    """Return who gets the text and who does not, and what it costs for all of them, in EUR."""
    people = members_of(conversation)
    get = [each.name for each in people if each.real_number.opted_out_at is None]
    price: Decimal | None = form.preview.price * len(get) if form.preview else None
    return {
        "get_it": get,
        "do_not": [each.name for each in people if each.name not in get],
        "price": price,
    }


def _text_all(conversation: Conversation, data: Mapping[str, Any], user: str) -> str:
    conversation.lock()  # Of two submissions at once, the second one finds the text of the first.
    by_staff = ApiMessage.objects.filter(conversation=conversation).exclude(written_by="")
    recent = by_staff.filter(created_at__gt=database_now() - NOT_TWICE_WITHIN)
    if any(each.text == data["text"] for each in recent):
        raise ActRefused(
            _("Nothing was sent: staff sent this very text a moment ago. To repeat it, wait some minutes.")
        )
    try:
        send_message(conversation, NewMessage(text=data["text"]), written_by=user)
    except CannotSend as error:
        raise ActRefused(_refusal(error)) from error
    except OverLimit as error:
        raise ActRefused(_("Nothing was sent: a limit of this conversation or its service is used up.")) from error
    return _("The text is on its way to the participants.")


def _refusal(error: CannotSend) -> str:
    match error:
        case ConversationEnded():
            return _("Nothing was sent: the conversation has ended. Reopen it first.")
        case OnHold():
            return _("Nothing was sent: the conversation is on hold. Release it first.")
        case HasOptedOut():
            return _("Nothing was sent: everybody has opted out.")
        case TooLong():
            return _("Nothing was sent: the text is too long. Shorten it.")
    return _("Nothing was sent: the participants cannot get it.")


TEXT_ALL = Act(
    name="text",
    label=gettext_lazy("Text everybody"),
    question=gettext_lazy("Text everybody in this conversation as the service"),
    effect=gettext_lazy("Each participant gets this text as if the service had sent it. Nobody sees your name."),
    permission="conversations.message_participants",
    do=_text_all,
    form=TextForm,
    is_offered=lambda row: is_open(row) and row.held_at is None,
    template="admin/thread/text.html",
)
