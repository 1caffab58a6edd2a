"""The acts on an item of the inbox. Each asks the reason. What somebody has taken, others must take over first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.admin.inbox.answer_form import AnswerForm
from conversations.admin.inbox.wording import why_of
from conversations.insight.likely_conversation import Candidate
from conversations.insight.waiting import Waiting
from conversations.intake import settle
from conversations.intake.answer import CannotAnswer, why_not_answer
from conversations.intake.attach import CannotAttach
from conversations.models import Conversation, InboundOutcome, InboxItem, InboxKind, InboxOutcome, OutboundMessage
from conversations.trust.blocks import CannotBlock
from smsproxy.database.clock import database_now
from smsproxy.staff.acts import Act, ActForm, ActRefused
from smsproxy.values import sentence

Do = Callable[[Waiting, Mapping[str, Any], str], Any]


def acts_of(item: Waiting, found: Sequence[Candidate] = ()) -> Mapping[str, Act[Any]]:
    """Return the acts on this item by name, the likeliest first. found: the conversations of a text's sender."""
    acts = {InboxKind.TEXT: _text_acts, InboxKind.UNKNOWN: _unknown_acts, InboxKind.HOLD: _hold_acts}[item.kind]
    return {act.name: act for act in [*acts(item, found), _take_over(item)]}


def _bound(item: Waiting, do: Do) -> Callable[[Any, Mapping[str, Any], str], Any]:
    """Return what does the act on this item, unless another member of staff has taken it."""

    def guarded(row: Any, data: Mapping[str, Any], actor: str) -> Any:
        holder = InboxItem.objects.holder(row, item.since)
        if holder not in ("", actor):
            raise ActRefused(_("Nothing was done: %(name)s has taken it. Take it over first.") % {"name": holder})
        try:
            return do(item, data, actor)
        except (CannotAttach, CannotAnswer) as error:
            raise ActRefused(str(error)) from error
        except CannotBlock as error:
            raise ActRefused(sentence(error)) from error

    return guarded


# Texts ----------------------------------------------------------------------------------------------------------------


def _text_acts(item: Waiting, found: Sequence[Candidate]) -> Sequence[Act[Any]]:
    open_ones = [each for each in found if each.is_open]
    is_text = item.row.outcome == InboundOutcome.NO_ROUTE
    likely_name = str(open_ones[0].conversation) if open_ones and open_ones[0].why else ""
    attach: Act[Any] = Act(
        name="attach",
        label=_("Pass on in %(name)s") % {"name": likely_name} if likely_name else _("Pass on"),
        question=_("Pass on in a conversation"),
        effect=_(
            "The others in the conversation get it as a text of its sender, once. "
            "Blocks, opt-outs and limits hold as for any text."
        ),
        permission="conversations.change_inboxitem",
        form=_attach_form(open_ones),
        do=_bound(item, _attach),
        is_offered=lambda row: is_text and bool(open_ones),
    )
    answer: Act[Any] = Act(
        name="answer",
        label=_("Answer"),
        question=_("Answer the sender"),
        effect=_("The sender gets your words from the virtual number that they wrote to. Nobody else sees them."),
        permission="conversations.change_inboxitem",
        form=AnswerForm,
        do=_bound(item, _answer),
        is_offered=lambda row: is_text and not why_not_answer(row),
    )
    dismiss: Act[Any] = Act(
        name="dismiss",
        label=_("Dismiss"),
        question=_("Dismiss"),
        effect=_("It leaves the inbox. Nothing is sent, and the text is kept as long as any other."),
        permission="conversations.change_inboxitem",
        do=_bound(item, _dismiss),
    )
    block: Act[Any] = Act(
        name="block",
        label=_("Block the sender"),
        question=_("Block the sender"),
        effect=_(
            "No text of this person is passed on any more, in every service, until somebody ends the block. "
            "What is queued from them is cancelled."
        ),
        permission="conversations.add_block",
        do=_bound(item, _block),
        is_dangerous=True,
        is_offered=lambda row: row.sender_id is not None,
    )
    return [attach, answer, dismiss, block]


def _attach_form(open_ones: Sequence[Candidate]) -> type[ActForm]:
    def label(candidate: Candidate) -> str:
        told = f"{candidate.conversation} ({candidate.conversation.service})"
        return f"{told}: {why}" if (why := why_of(candidate)) else told

    choices = [(str(each.conversation.pk), label(each)) for each in open_ones]
    field = forms.ChoiceField(
        label=_("Conversation"),
        choices=choices,
        initial=choices[0][0] if open_ones and open_ones[0].why else None,
        widget=forms.RadioSelect,
        error_messages={"required": _("Expected a conversation, found none. Choose one.")},
    )
    return type("AttachForm", (ActForm,), {"conversation": field})


def _attach(item: Waiting, data: Mapping[str, Any], actor: str) -> str:
    conversation = Conversation.objects.get(pk=data["conversation"])
    count = settle.pass_on(item.row, conversation, last=item.last_pk or item.row.pk, actor=actor)
    return _("Passed on in %(name)s: %(count)d.") % {"name": conversation, "count": count}


def _answer(item: Waiting, data: Mapping[str, Any], actor: str) -> str:
    settle.answer_and_settle(item.row, data["text"], last=item.last_pk or item.row.pk, actor=actor)
    return _("Your answer is queued.")


def _dismiss(item: Waiting, data: Mapping[str, Any], actor: str) -> str:
    settle.dismiss(item.row, last=item.last_pk or item.row.pk, actor=actor)
    return _("Dismissed.")


def _block(item: Waiting, data: Mapping[str, Any], actor: str) -> str:
    settle.block_sender(item.row, reason=data["reason"], last=item.last_pk or item.row.pk, actor=actor)
    return _("The sender is blocked.")


# Unknown outcomes -----------------------------------------------------------------------------------------------------


def _unknown_acts(item: Waiting, found: Sequence[Candidate]) -> Sequence[Act[Any]]:
    resend: Act[Any] = Act(
        name="resend",
        label=_("Send again"),
        question=_("Send again"),
        effect=_("It may arrive twice: the first attempt had no answer, but the carrier may have sent it."),
        permission="conversations.change_outboundmessage",
        do=_bound(item, _resend),
    )
    drop: Act[Any] = Act(
        name="drop",
        label=_("Do not send"),
        question=_("Do not send"),
        effect=_("It is not sent again. If the first attempt failed, its recipient never gets it."),
        permission="conversations.change_outboundmessage",
        do=_bound(item, _drop),
    )
    return [resend, drop]


def _resend(item: Waiting, data: Mapping[str, Any], actor: str) -> str:
    message: OutboundMessage = item.row
    if message.is_too_old(database_now()):
        raise ActRefused(_("It is older than MESSAGE_MAX_AGE_SECONDS: it can no longer be sent. Choose “Do not send”."))
    if message.recipient.opted_out_at is not None:
        raise ActRefused(_("Its recipient has opted out with STOP. Choose “Do not send”."))
    message.resend(reason=data["reason"], actor=actor)
    InboxItem.objects.finish(message, InboxOutcome.RESENT, actor=actor)
    return _("It is queued again.")


def _drop(item: Waiting, data: Mapping[str, Any], actor: str) -> str:
    item.row.cancel(reason=data["reason"], actor=actor)
    InboxItem.objects.finish(item.row, InboxOutcome.DROPPED, actor=actor)
    return _("It is not sent.")


# Conversations on hold ------------------------------------------------------------------------------------------------


def _hold_acts(item: Waiting, found: Sequence[Candidate]) -> Sequence[Act[Any]]:
    return [replace(RELEASE, do=_bound(item, _release))]


def _release(item: Waiting, data: Mapping[str, Any], actor: str) -> str:
    item.row.release_hold(reason=data["reason"], actor=actor)
    InboxItem.objects.finish(item.row, InboxOutcome.RELEASED, actor=actor)
    return _("The hold is released. The next text is passed on.")


RELEASE: Act[Any] = Act(
    name="release",
    label=gettext_lazy("Release the hold"),
    question=gettext_lazy("Release the hold"),
    effect=gettext_lazy("Its texts are passed on again, from the next one. Those that were held stay where they are."),
    permission="conversations.change_conversation",
    do=lambda row, data, actor: None,
)


# Who has it -----------------------------------------------------------------------------------------------------------


def _take_over(item: Waiting) -> Act[Any]:
    told = _("%(name)s has taken it. From now on it is yours, and they cannot act on it without taking it over.")
    return Act(
        name="take-over",
        label=_("Take over"),
        question=_("Take over from %(name)s") % {"name": item.taken_by},
        effect=told % {"name": item.taken_by},
        permission="conversations.change_inboxitem",
        do=partial(_do_take_over, item),
        is_offered=lambda row: bool(item.taken_by),
    )


def _do_take_over(item: Waiting, row: Any, data: Mapping[str, Any], actor: str) -> str:
    InboxItem.objects.take_over(row, holder=item.taken_by, actor=actor)
    return _("It is yours now.")
