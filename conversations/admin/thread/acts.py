"""What staff can do to a conversation or to one of its messages. Each asks for a reason: smsproxy/staff/acts.py."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.lifecycle.reopen import reopen_conversation
from conversations.lifecycle.request import CannotCreate, ContentionError, ReferenceTaken
from conversations.models import (
    Conversation,
    ConversationNote,
    ConversationState,
    InboxItem,
    InboxOutcome,
    LateMessagePolicy,
    MessageKind,
    OutboundMessage,
    OutboundState,
)
from conversations.models.conversation_terms import EndHasPassed, EndTooLate
from conversations.models.inbox_item import InboxRow
from smsproxy.database.clock import database_now
from smsproxy.phone_spellings import holds_phone_number
from smsproxy.staff.acts import Act, ActForm, ActRefused
from smsproxy.states import StaleState

HOUR, DAY = 3600, 86_400
LATER_BY: Sequence[tuple[int, Any]] = [
    (HOUR, gettext_lazy("1 hour")),
    (6 * HOUR, gettext_lazy("6 hours")),
    (DAY, gettext_lazy("1 day")),
    (3 * DAY, gettext_lazy("3 days")),
    (7 * DAY, gettext_lazy("1 week")),
    (30 * DAY, gettext_lazy("30 days")),
]
NOTE_LENGTH = 2000
NO_SAME_NOTE_WITHIN = timedelta(minutes=1)
"""Who adds the same note again within this time has clicked twice."""


class ExtendForm(ActForm):
    """How much later the conversation ends."""

    seconds = forms.TypedChoiceField(
        label=gettext_lazy("How much later"),
        coerce=int,
        choices=LATER_BY,
        initial=DAY,
    )


class NoteForm(ActForm):
    """An internal note. It is its own reason."""

    reason = None  # type: ignore[assignment]  # Django removes the field
    text = forms.CharField(
        label=gettext_lazy("Note"),
        max_length=NOTE_LENGTH,
        widget=forms.Textarea({"rows": 4, "class": "vLargeTextField"}),
        help_text=gettext_lazy("Only staff see it. Without phone numbers."),
        error_messages={"required": gettext_lazy("Expected a note, found nothing.")},
    )

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if holds_phone_number(text):
            raise forms.ValidationError(_("Expected a note without phone numbers: name the person instead."))
        return text


def refuse_if_taken(row: InboxRow, since: datetime | None, user: str) -> None:
    """Raise ActRefused if another member of staff has taken this in the inbox. since: from when on it waits there."""
    holder = InboxItem.objects.holder(row, since) if since is not None else ""
    if holder not in ("", user):
        raise ActRefused(_("Nothing was done: %(name)s has taken it. Take it over first.") % {"name": holder})


def _close(conversation: Conversation, data: Mapping[str, Any], user: str) -> str:
    conversation.close_permanently(actor=user, why=data["reason"])
    return _("The conversation is closed for good. Its numbers cool down.")


def _reopen(conversation: Conversation, data: Mapping[str, Any], user: str) -> str:
    try:
        reopen_conversation(conversation, actor=user, why=data["reason"])
    except CannotCreate as error:
        person = conversation.current_participants[error.position].name
        told = _("Nothing was done. %(person)s %(problem)s. End that first.")
        raise ActRefused(told % {"person": person, "problem": error.detail}) from error
    except ReferenceTaken as error:
        raise ActRefused(
            _("Nothing was done: another open conversation has this reference. Close that one first.")
        ) from error
    except EndHasPassed as error:
        raise ActRefused(
            _("Nothing was done: its fixed end has passed. The service can reopen it with a new end.")
        ) from error
    except ContentionError as error:
        raise ActRefused(_("Nothing was done: others changed it at the same moment. Try again.")) from error
    except StaleState as error:
        raise ActRefused(
            _("Nothing was done: it is open, or one of its numbers is free for others. Then create a new conversation.")
        ) from error
    if conversation.held_at is not None:
        return _("The conversation is open again, and still on hold: release the hold, too, if its people may text.")
    return _("The conversation is open again, with the numbers that its people had.")


def _extend(conversation: Conversation, data: Mapping[str, Any], user: str) -> str:
    try:
        conversation.extend(data["seconds"], actor=user, why=data["reason"])
    except EndTooLate as error:
        raise ActRefused(_("Nothing was done: it would end too late. Choose a shorter time.")) from error
    return _("The conversation ends later: at %(end)s UTC.") % {"end": f"{conversation.expires_at:%Y-%m-%d %H:%M}"}


def _hold(conversation: Conversation, data: Mapping[str, Any], user: str) -> str:
    conversation.hold(reason=data["reason"], actor=user)
    return _("The conversation is on hold. Its texts are stored and not passed on.")


def _release(conversation: Conversation, data: Mapping[str, Any], user: str) -> str:
    refuse_if_taken(conversation, conversation.held_at, user)
    conversation.release_hold(reason=data["reason"], actor=user)
    InboxItem.objects.finish(conversation, InboxOutcome.RELEASED, actor=user)
    return _("The hold is released. Texts are passed on again, from the next one.")


def _note(conversation: Conversation, data: Mapping[str, Any], user: str) -> str:
    conversation.lock()  # Of two submissions at once, the second one finds the note of the first.
    newest = ConversationNote.objects.filter(conversation=conversation, author=user).order_by("-pk").first()
    if newest and newest.text == data["text"] and newest.created_at > database_now() - NO_SAME_NOTE_WITHIN:
        raise ActRefused(_("Nothing was done: you added this very note a moment ago."))
    ConversationNote.objects.create(conversation=conversation, text=data["text"], author=user)
    return _("The note is added.")


def _resend(message: OutboundMessage, data: Mapping[str, Any], user: str) -> str:
    refuse_if_taken(message, message.due_at, user)
    if message.is_too_old(database_now()):
        raise ActRefused(_("It is older than MESSAGE_MAX_AGE_SECONDS: it can no longer be sent. Choose “Do not send”."))
    if message.recipient.opted_out_at is not None and message.kind != MessageKind.KEYWORD_ANSWER:
        raise ActRefused(_("Its recipient has opted out with STOP. Choose “Do not send”."))
    message.resend(reason=f"staff: {data['reason']}", actor=user)
    InboxItem.objects.finish(message, InboxOutcome.RESENT, actor=user)
    return _("The text is sent again. It may arrive twice.")


def _drop(message: OutboundMessage, data: Mapping[str, Any], user: str) -> str:
    refuse_if_taken(message, message.due_at, user)
    is_in_inbox = message.state == OutboundState.UNKNOWN
    message.cancel(reason=f"staff: {data['reason']}", actor=user)
    if is_in_inbox:
        InboxItem.objects.finish(message, InboxOutcome.DROPPED, actor=user)
    return _("The text is not sent.")


def is_open(conversation: Conversation) -> bool:
    """Return whether its people may text each other now, by the clock of this host: without a query."""
    return conversation.status_now == ConversationState.OPEN


CLOSE = Act(
    name="close",
    label=gettext_lazy("Close for good"),
    question=gettext_lazy("Close this conversation for good?"),
    effect=gettext_lazy(
        "From now on no text is passed on. The numbers cool down, and no late text reopens it. Staff can reopen it "
        "while the numbers cool down."
    ),
    permission="conversations.change_conversation",
    do=_close,
    is_dangerous=True,
    is_offered=lambda row: is_open(row) or row.late_messages != LateMessagePolicy.END,
)
REOPEN = Act(
    name="reopen",
    label=gettext_lazy("Reopen"),
    question=gettext_lazy("Reopen this conversation?"),
    effect=gettext_lazy("Its people can text each other again, through the same numbers. Its time starts again."),
    permission="conversations.change_conversation",
    do=_reopen,
    # It may close another conversation whose time is up, which has the same reference. No two are locked at once.
    is_atomic=False,
    is_offered=lambda row: not is_open(row),
)
EXTEND = Act(
    name="extend",
    label=gettext_lazy("End it later"),
    question=gettext_lazy("When should this conversation end?"),
    effect=gettext_lazy("Its end moves by this time. Its people are not told."),
    permission="conversations.change_conversation",
    do=_extend,
    form=ExtendForm,
    is_offered=lambda row: is_open(row) and row.expires_at is not None,
)
HOLD = Act(
    name="hold",
    label=gettext_lazy("Put on hold"),
    question=gettext_lazy("Put this conversation on hold?"),
    effect=gettext_lazy("Its texts are stored and not passed on until somebody releases it. Its people are not told."),
    permission="conversations.change_conversation",
    do=_hold,
    is_dangerous=True,
    is_offered=lambda row: is_open(row) and row.held_at is None,
)
RELEASE = Act(
    name="release",
    label=gettext_lazy("Release the hold"),
    question=gettext_lazy("Release the hold of this conversation?"),
    effect=gettext_lazy("Texts are passed on again, from the next one. Those that came during the hold are not."),
    permission="conversations.change_conversation",
    do=_release,
    is_offered=lambda row: row.held_at is not None,
)
NOTE = Act(
    name="note",
    label=gettext_lazy("Add the note"),
    question=gettext_lazy("Add an internal note"),
    effect=gettext_lazy("Staff see it in the thread. The people of the conversation and the service do not."),
    permission="conversations.add_conversationnote",
    do=_note,
    form=NoteForm,
)
RESEND = Act(
    name="resend",
    label=gettext_lazy("Send again"),
    question=gettext_lazy("Send this text again?"),
    effect=gettext_lazy("Nobody knows whether it was sent. If it was, it arrives twice. The carrier bills it again."),
    permission="conversations.change_outboundmessage",
    do=_resend,
    is_offered=lambda row: row.state == OutboundState.UNKNOWN,
)
DROP = Act(
    name="drop",
    label=gettext_lazy("Do not send"),
    question=gettext_lazy("Do not send this text?"),
    effect=gettext_lazy("It is not sent any more. If its outcome is unknown, it may have arrived already."),
    permission="conversations.change_outboundmessage",
    do=_drop,
    is_dangerous=True,
    is_offered=lambda row: row.state in (OutboundState.UNKNOWN, OutboundState.QUEUED),
)

OF_MESSAGE: Sequence[Act[OutboundMessage]] = (RESEND, DROP)
