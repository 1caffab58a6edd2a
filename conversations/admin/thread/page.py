"""The page of a conversation: what it shows, and the addresses of its acts."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from conversations.admin.person.acts import END_BLOCK
from conversations.admin.thread import acts
from conversations.admin.thread.acts_now import extend_act, reopen_act
from conversations.admin.thread.block import block_act
from conversations.admin.thread.bubbles import lines_of
from conversations.admin.thread.neighbours import FILTERS_FIELD, neighbours_of
from conversations.admin.thread.people import People
from conversations.admin.thread.text_all import TEXT_ALL, estimate
from conversations.insight.thread import Before, read_thread
from conversations.models import Conversation, ConversationEvent, OutboundMessage
from smsproxy.staff import audit
from smsproxy.staff.acts import Act, act_response
from smsproxy.staff.models import AuditAction, RevealKind
from smsproxy.staff.reveal import active_reveal
from smsproxy.staff.rights import require

SEE = "conversations.view_conversation"
READ_TEXTS = "conversations.read_message_text"
READ_NOTES = "conversations.view_conversationnote"
RAW_EVENTS = 50

ACTS: Sequence[Act[Conversation]] = (
    TEXT_ALL,
    acts.EXTEND,
    acts.REOPEN,
    acts.RELEASE,
    acts.HOLD,
    acts.CLOSE,
)


def page_context(request: HttpRequest, conversation: Conversation) -> dict[str, Any]:
    """Return what the page shows. Records in the audit that the user saw texts, if they are uncovered."""
    shown = active_reveal(request, RevealKind.TEXTS, conversation.pk) if request.user.has_perm(READ_TEXTS) else None
    before = Before.read(request.GET.get("before", ""))
    people = People(conversation, request)
    conversation.cache_participants([each.participant for each in people.current])
    page = read_thread(conversation, before)
    if shown:
        seen = {row.real_number_id for row in people.rows}
        detail = "its texts and metadata" if conversation.metadata else "its texts"
        audit.record(request, AuditAction.SAW, conversation, detail=detail, people=seen)
    may_see_blocks = request.user.has_perm("conversations.view_block")
    lines = lines_of(
        page.entries,
        people,
        shows_texts=shown is not None,
        shows_notes=request.user.has_perm(READ_NOTES),
        shows_blocks=may_see_blocks,
    )
    query = _query(request)
    return {
        "people": people,
        "lines": lines,
        "reveal": shown,
        "may_read_texts": request.user.has_perm(READ_TEXTS),
        "may_decide": request.user.has_perm(acts.RESEND.permission),
        "may_block": request.user.has_perm("conversations.add_block"),
        "may_see_blocks": may_see_blocks,
        "may_end_blocks": request.user.has_perm(END_BLOCK.permission),
        "is_latest": before is None,
        "query": f"?{query}" if query else "",
        "latest_url": _url(conversation.pk, query),
        "earlier_url": _url(conversation.pk, _query(request, before=str(page.earlier))) if page.earlier else "",
        "acts": [act for act in ACTS if act.is_for(request, conversation) and not _is_lost(act, people)],
        "note_act": acts.NOTE if acts.NOTE.is_for(request, conversation) else None,
        "note_form": acts.NoteForm(),
        "raw_events": ConversationEvent.objects.filter(conversation=conversation).order_by("-pk")[:RAW_EVENTS],
        **_places(request, conversation),
    }


def _is_lost(act: Act[Conversation], people: People) -> bool:
    """Return whether nobody can reopen it: a number is free for others."""
    return act is acts.REOPEN and people.has_lost_a_number


def _places(request: HttpRequest, conversation: Conversation) -> dict[str, Any]:
    found, query = neighbours_of(conversation, request), _query(request)
    return {
        "newer_url": _url(found.newer, query) if found.newer else "",
        "older_url": _url(found.older, query) if found.older else "",
        "is_filtered": found.is_filtered,
        "list_url": reverse("admin:conversations_conversation_changelist")
        + (f"?{request.GET[FILTERS_FIELD]}" if request.GET.get(FILTERS_FIELD) else ""),
    }


def _url(pk: int, query: str) -> str:
    address = reverse("admin:conversations_conversation_change", args=[pk])
    return f"{address}?{query}" if query else address


def _query(request: HttpRequest, **more: str) -> str:
    """Return the query that each link of the page repeats: the filters of the list that one came from."""
    kept = {FILTERS_FIELD: request.GET[FILTERS_FIELD]} if request.GET.get(FILTERS_FIELD) else {}
    return urlencode({**kept, **more})


class ActPages:
    """The addresses of the acts on a conversation, its participants and its messages."""

    def __init__(self, site: AdminSite) -> None:
        self._site = site

    @property
    def urls(self) -> list[URLPattern]:
        """Return the addresses, relative to the list of conversations."""
        wrap = self._site.admin_view
        return [
            path("<int:pk>/act/<slug:name>/", wrap(self.act), name="conversations_conversation_act"),
            path("<int:pk>/block/<int:position>/", wrap(self.block), name="conversations_conversation_block"),
            path(
                "<int:pk>/message/<int:message>/<slug:name>/",
                wrap(self.message_act),
                name="conversations_conversation_message_act",
            ),
        ]

    def act(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        act = next((each for each in (*ACTS, acts.NOTE) if each.name == name), None)
        if act is None:
            raise Http404
        conversation = self._conversation(request, pk)
        more = partial(estimate, conversation) if act is TEXT_ALL else None
        if act is acts.REOPEN:
            act = reopen_act(conversation, may_see_people=request.user.has_perm("numbers.view_realnumber"))
        if act is acts.EXTEND:
            act = extend_act(conversation)
        return self._respond(request, act, conversation, conversation, more)

    def block(self, request: HttpRequest, pk: int, position: int) -> HttpResponse:
        conversation = self._conversation(request, pk)
        people = People(conversation, request)
        person = people.by_position.get(position)
        if person is None:
            raise Http404
        act = block_act(person, people, conversation.service)
        return self._respond(request, act, person.participant, conversation)

    def message_act(self, request: HttpRequest, pk: int, message: int, name: str) -> HttpResponse:
        conversation = self._conversation(request, pk)
        act = next((each for each in acts.OF_MESSAGE if each.name == name), None)
        found = OutboundMessage.objects.filter(pk=message, conversation=conversation).defer("text").first()
        if act is None or found is None:
            raise Http404
        return self._respond(request, act, found, conversation)

    def _conversation(self, request: HttpRequest, pk: int) -> Conversation:
        require(request, SEE)
        conversation = Conversation.objects.select_related("service").filter(pk=pk).first()
        if conversation is None:
            raise Http404
        return conversation

    def _respond(
        self,
        request: HttpRequest,
        act: Act[Any],
        row: Any,
        conversation: Conversation,
        more: Callable[[Any], dict[str, Any]] | None = None,
    ) -> HttpResponse:
        """Return the page of an act. more: what its template shows, from the form."""
        back = _url(conversation.pk, _query(request)) + "#latest"
        parent = (_("Conversations"), str(_places(request, conversation)["list_url"]))
        return act_response(
            request, act, row, site=self._site, back=back, context=more, parent=parent, name=str(conversation)
        )
