"""The page of one item of texts: each text, covered, and the conversations of its sender with their reasons."""

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from conversations.admin.inbox.addresses import back_of
from conversations.admin.inbox.cards import card_of
from conversations.admin.inbox.lines import lines_of
from conversations.admin.inbox.wording import conversation_url, why_of
from conversations.insight.likely_conversation import candidates
from conversations.insight.waiting import MOST_TEXTS, texts_of, waiting_item
from conversations.models import InboxKind
from smsproxy.staff.rights import require


def text_view(site: AdminSite, request: HttpRequest, pk: int) -> HttpResponse:
    """Return the page of the texts of one item, or lead back if it no longer waits."""
    require(request, "conversations.view_inboxitem")
    item, back = waiting_item(InboxKind.TEXT, pk), back_of(request)
    if item is None:
        messages.warning(request, _("It no longer waits: somebody settled it, or it is too old for the inbox."))
        return HttpResponseRedirect(back)
    found = candidates([item.row]).get(item.row.pk, ())
    card = card_of(request, item, found, back=back)
    may_open = request.user.has_perm("conversations.view_conversation")
    conversations = [
        {
            "candidate": each,
            "why": why_of(each),
            "url": conversation_url(each.conversation.pk) if may_open else "",
        }
        for each in found
    ]
    context = {
        "title": card.sentence,
        "card": card,
        "lines": lines_of(request, texts_of(item)).values(),
        "most": MOST_TEXTS,
        "conversations": conversations,
        "back": back,
    }
    return TemplateResponse(request, "admin/inbox/text.html", {**site.each_context(request), **context})
