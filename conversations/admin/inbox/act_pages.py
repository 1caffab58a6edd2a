"""The page of an act on an item of the inbox, and the buttons that take an item and give it back."""

from contextlib import suppress
from dataclasses import replace

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.utils.translation import gettext as _

from conversations.admin.inbox.acts import acts_of
from conversations.admin.inbox.addresses import back_of
from conversations.admin.inbox.cards import card_of, show_texts
from conversations.insight.likely_conversation import candidates
from conversations.insight.waiting import MOST_TEXTS, Waiting, waiting_item
from conversations.models import InboxItem, InboxKind
from smsproxy.staff import audit
from smsproxy.staff.acts import act_response
from smsproxy.staff.models import AuditAction
from smsproxy.staff.rights import require
from smsproxy.states import StaleState


def act_view(site: AdminSite, request: HttpRequest, kind: str, pk: int, name: str) -> HttpResponse:
    """Ask for the reason of an act, or do it. It concerns the texts up to `?last=`, which its member of staff saw."""
    require(request, "conversations.view_inboxitem")
    item, back = _item(kind, pk), back_of(request)
    if item is None:
        return _is_gone(request, back)
    if item.last_pk:
        with suppress(ValueError):
            item.last_pk = max(item.row.pk, min(item.last_pk, int(request.GET.get("last", ""))))
    found = candidates([item.row]).get(item.row.pk, ()) if item.kind == InboxKind.TEXT else ()
    act = acts_of(item, found).get(name)
    if act is None:
        raise Http404
    require(request, act.permission)
    if not act.is_offered(item.row):
        messages.error(request, _("Nothing was done: it can no longer be done. Look at it again."))
        return HttpResponseRedirect(back)
    card = card_of(request, item, found, back=back)
    if request.method == "GET":
        show_texts(request, [card])
    return act_response(
        request,
        replace(act, template="admin/inbox/act.html"),
        item.row,
        site=site,
        back=back,
        context={"card": card, "most": MOST_TEXTS},
    )


def take_view(site: AdminSite, request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Take an item that nobody has taken, or give it back. It asks no reason: nothing happens to anybody."""
    require(request, "conversations.change_inboxitem")
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    item, back, actor = _item(kind, pk), back_of(request), request.user.get_username()
    if item is None:
        return _is_gone(request, back)
    gives_back = "give_back" in request.POST
    try:
        with transaction.atomic():
            if gives_back:
                InboxItem.objects.give_back(item.row, actor=actor)
            else:
                InboxItem.objects.take(item.row, since=item.since, actor=actor)
            audit.record(request, AuditAction.DID, item.row, detail="give back" if gives_back else "take")
    except StaleState:
        messages.error(request, _("Nothing was done: another member of staff has taken it. Look at it again."))
    else:
        messages.success(request, _("Others may take it now.") if gives_back else _("It is yours now."))
    return HttpResponseRedirect(back)


def _item(kind: str, pk: int) -> Waiting | None:
    if kind not in InboxKind.values:
        raise Http404
    return waiting_item(InboxKind(kind), pk) if pk < 2**63 else None


def _is_gone(request: HttpRequest, back: str) -> HttpResponse:
    messages.error(request, _("Nothing was done: it no longer waits. Somebody settled it, or it settled itself."))
    return HttpResponseRedirect(back)
