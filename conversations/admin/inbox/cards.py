"""An item of the inbox as staff read it: one sentence, the likely conversation with its reason, and its buttons."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from conversations.admin.inbox.acts import acts_of
from conversations.admin.inbox.lines import Line, lines_of
from conversations.admin.inbox.wording import conversation_url, detail_of, sentence_of, why_of
from conversations.insight.likely_conversation import Candidate, likely
from conversations.insight.waiting import Waiting
from conversations.models import InboxKind
from smsproxy.staff.acts import Act


@dataclass(frozen=True, kw_only=True)
class Button:
    """A link to the page of an act, or to a page. is_primary: the one that is tried first."""

    label: Any
    url: str
    is_primary: bool = False
    is_dangerous: bool = False


@dataclass(kw_only=True)
class Card:
    """What the template shows of an item. line: its text, or the oldest of several."""

    item: Waiting
    sentence: str
    detail: str = ""
    likely: Candidate | None = None
    why: str = ""
    conversation_url: str = ""
    conversation: Any = None
    buttons: Sequence[Button] = ()
    take_url: str = ""
    take_over_url: str = ""
    is_mine: bool = False
    more_url: str = ""
    line: Line | None = None

    @property
    def kind(self) -> InboxKind:
        return self.item.kind


def card_of(request: HttpRequest, item: Waiting, found: Sequence[Candidate], *, back: str) -> Card:
    """Return the card of an item. found: the conversations of its sender. back: where its acts lead to."""
    card = Card(item=item, sentence=sentence_of(item), detail=detail_of(item), is_mine=item.taken_by == _name(request))
    card.likely = likely(found)
    card.conversation = card.likely.conversation if card.likely else _conversation_of(item)
    card.why = why_of(card.likely) if card.likely else ""
    if card.conversation and request.user.has_perm("conversations.view_conversation"):
        card.conversation_url = conversation_url(card.conversation.pk)
    acts = acts_of(item, found)
    offered = [act for act in acts.values() if act.is_for(request, item.row) and act.name != "take-over"]
    card.buttons = _buttons(card, offered, back)
    if request.user.has_perm("conversations.change_inboxitem"):
        query = urlencode({"next": back})
        card.take_url = reverse("admin:inbox_take", args=[item.kind, item.row.pk]) + f"?{query}"
        card.take_over_url = act_url(item, "take-over", back)
    if item.kind == InboxKind.TEXT and item.texts > 1:
        card.more_url = f"{reverse('admin:inbox_text', args=[item.row.pk])}?{urlencode({'next': back})}"
    return card


def act_url(item: Waiting, name: str, back: str) -> str:
    """Return the address of the page of an act. last: the newest text that staff saw."""
    query = {"next": back} | ({"last": item.last_pk} if item.last_pk else {})
    return f"{reverse('admin:inbox_act', args=[item.kind, item.row.pk, name])}?{urlencode(query)}"


def _buttons(card: Card, acts: Sequence[Act[Any]], back: str) -> Sequence[Button]:
    """Return its buttons. The primary one is the first act for a text. Otherwise it opens the conversation.

    Neither "Dismiss" nor "Pass on" without a likely conversation is the primary one: staff must think first.
    """
    is_text = card.kind == InboxKind.TEXT
    never_primary = {"dismiss"} if card.likely and card.likely.is_open else {"dismiss", "attach"}
    buttons = [
        Button(
            label=act.label,
            url=act_url(card.item, act.name, back),
            is_primary=is_text and place == 0 and act.name not in never_primary,
            is_dangerous=act.is_dangerous,
        )
        for place, act in enumerate(acts)
    ]
    if not is_text and card.conversation_url:
        return [Button(label=_("Open the conversation"), url=card.conversation_url, is_primary=True), *buttons]
    return buttons


def _conversation_of(item: Waiting) -> Any:
    if item.kind == InboxKind.HOLD:
        return item.row
    return item.row.conversation if item.kind == InboxKind.UNKNOWN else None


def _name(request: HttpRequest) -> str:
    return request.user.get_username()


def show_texts(request: HttpRequest, cards: Sequence[Card]) -> None:
    """Put their texts on the cards, covered unless the user has uncovered them."""
    for kind in (InboxKind.TEXT, InboxKind.UNKNOWN):
        lines = lines_of(request, [card.item.row for card in cards if card.kind == kind])
        for card in cards:
            if card.kind == kind:
                card.line = lines.get(card.item.row.pk)
