"""The sections of a person's page that conversations add: each for those who may see it."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from conversations.admin.person.acts import BLOCK, END_BLOCK
from conversations.admin.thread.state_badge import badge_of
from conversations.admin.thread.words import error_words
from conversations.insight.message_errors import error_of
from conversations.insight.person import (
    blocks_of,
    conversations_of,
    failures_to,
    has_blocked_prefix,
    limits_of,
    texts_without_conversation,
)
from conversations.models import Block
from numbers.admin.person_sections import Section, add_section
from numbers.models import RealNumber
from smsproxy.values import id_in_url

_TEMPLATES = "admin/person/"


def _blocks(request: HttpRequest, person: RealNumber) -> Section | None:
    if not request.user.has_perm("conversations.view_block"):
        return None
    rows: list[dict[str, Any]] = []
    for block in blocks_of(person):
        url = f"{reverse('admin:conversations_block_end', args=[block.pk])}?person={person.pk}"
        other = block.other if block.person_id == person.pk else block.person
        rows.append({"block": block, "other": other, "end": url if END_BLOCK.is_for(request, block) else ""})
    # Who tries one prefix after another would read the number off this answer.
    may_see_number = request.user.has_perm("numbers.reveal_realnumber")
    shown = {"rows": rows, "has_prefix": may_see_number and has_blocked_prefix(person)}
    acts: list[tuple[Any, str]] = []
    is_blocked = Block.objects.active().of(person).filter(service=None).exists()
    if BLOCK.is_for(request, person) and not is_blocked:
        acts = [(BLOCK.question, reverse("admin:conversations_block_person", args=[person.pk]))]
    return Section("blocks", _("Blocks"), f"{_TEMPLATES}blocks.html", shown, acts)


def _conversations(request: HttpRequest, person: RealNumber) -> Section | None:
    if not request.user.has_perm("conversations.view_conversation"):
        return None
    page = conversations_of(person, id_in_url(request.GET.get("before", "")))
    rows = [(each, badge_of(each.conversation).html()) for each in page.participants]
    shown = {"rows": rows, "older": page.older, "is_first": page.is_first}
    return Section("conversations", _("Conversations"), f"{_TEMPLATES}conversations.html", shown)


def _texts(request: HttpRequest, person: RealNumber) -> Section | None:
    if not request.user.has_perm("conversations.view_inboundmessage"):
        return None
    shown = texts_without_conversation(person)
    return Section("texts", _("Texts without a conversation"), f"{_TEMPLATES}texts.html", shown)


def _failures(request: HttpRequest, person: RealNumber) -> Section | None:
    if not request.user.has_perm("conversations.view_outboundmessage"):
        return None
    shown = [(message, error_words(error_of(message.state, message.error_code, ""))) for message in failures_to(person)]
    return Section("failures", _("Messages that did not arrive, last 30 days"), f"{_TEMPLATES}failures.html", shown)


def _limits(request: HttpRequest, person: RealNumber) -> Section | None:
    if not request.user.has_perm("conversations.view_limitusage"):
        return None
    return Section("limits", _("Limits in use"), f"{_TEMPLATES}limits.html", limits_of(person))


for _section in (_blocks, _conversations, _texts, _failures, _limits):
    add_section(_section)
