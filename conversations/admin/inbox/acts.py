"""The acts on an item of the inbox. Each asks the reason. What somebody has taken, others must take over first."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from conversations.admin.inbox.wording import why_of
from conversations.admin.previewed_text import PreviewedTextForm
from conversations.admin.thread.acts import DROP, RELEASE, RESEND, refuse_if_taken
from conversations.insight.likely_conversation import Candidate, likely_open
from conversations.insight.waiting import Waiting
from conversations.intake import settle
from conversations.intake.answer import CannotAnswer, why_not_answer
from conversations.intake.attach import CannotAttach
from conversations.models import Conversation, InboundOutcome, InboxItem, InboxKind
from conversations.trust.blocks import CannotBlock
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
        refuse_if_taken(row, item.since, actor)
        try:
            return do(item, data, actor)
        except (CannotAttach, CannotAnswer) as error:
            raise ActRefused(str(error)) from error
        except CannotBlock as error:
            raise ActRefused(sentence(error)) from error

    return guarded


# Texts ----------------------------------------------------------------------------------------------------------------


class AnswerForm(PreviewedTextForm):
    """The answer to a stranger, in words of staff."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["text"].label = _("Your answer")
        self.fields["text"].help_text = _(
            "The sender reads it as a text from this number. It is not signed: say who you are."
        )


def _text_acts(item: Waiting, found: Sequence[Candidate]) -> Sequence[Act[Any]]:
    open_ones = [each for each in found if each.is_open]
    is_text = item.row.outcome == InboundOutcome.NO_ROUTE
    likely = likely_open(found)
    attach: Act[Any] = Act(
        name="attach",
        label=_("Pass on in %(name)s") % {"name": likely.conversation} if likely else _("Pass on"),
        question=_("Pass on in a conversation"),
        effect=_(
            "The others in the conversation get it as a text of its sender, once. "
            "Blocks, opt-outs and limits hold as for any text."
        ),
        permission="conversations.change_inboxitem",
        form=_attach_form(open_ones, likely),
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


def _attach_form(open_ones: Sequence[Candidate], likely: Candidate | None) -> type[ActForm]:
    def label(candidate: Candidate) -> str:
        told = f"{candidate.conversation} ({candidate.conversation.service})"
        return f"{told}: {why}" if (why := why_of(candidate)) else told

    choices = [(str(each.conversation.pk), label(each)) for each in open_ones]
    field = forms.ChoiceField(
        label=_("Conversation"),
        choices=choices,
        initial=str(likely.conversation.pk) if likely else None,
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


# Unknown outcomes, and conversations on hold: the acts of the page of a conversation. They settle the item -----------


def _unknown_acts(item: Waiting, found: Sequence[Candidate]) -> Sequence[Act[Any]]:
    return [RESEND, DROP]


def _hold_acts(item: Waiting, found: Sequence[Candidate]) -> Sequence[Act[Any]]:
    return [RELEASE]


# Who has it -----------------------------------------------------------------------------------------------------------


def _take_over(item: Waiting) -> Act[Any]:
    told = _("%(name)s has taken it. From now on it is yours, and they cannot act on it without taking it over.")
    return Act(
        name="take-over",
        label=_("Take over"),
        question=_("Take over from %(name)s") % {"name": item.taken_by},
        effect=told % {"name": item.taken_by},
        permission="conversations.change_inboxitem",
        form=_take_over_form(item),
        do=_do_take_over,
        is_offered=lambda row: bool(item.taken_by),
    )


def _take_over_form(item: Waiting) -> type[ActForm]:
    """Return a form that keeps from whom its member of staff takes it: they have seen that name."""
    holder = forms.CharField(widget=forms.HiddenInput, initial=item.taken_by, required=False)
    return type("TakeOverForm", (ActForm,), {"holder": holder})


def _do_take_over(row: Any, data: Mapping[str, Any], actor: str) -> str:
    InboxItem.objects.take_over(row, holder=data["holder"], actor=actor)
    return _("It is yours now.")
