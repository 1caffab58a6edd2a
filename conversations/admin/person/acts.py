"""Block a person, and end a block, from the person's page."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.admin.widgets import AdminSplitDateTime
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.models import Block
from conversations.trust.blocks import CannotBlock, block_person, checked_until
from numbers.models import RealNumber
from smsproxy.services.models import Service
from smsproxy.staff.acts import Act, ActForm, ActRefused, act_response
from smsproxy.staff.rights import require
from smsproxy.values import id_in_url, sentence


class BlockPersonForm(ActForm):
    """In which service a person is blocked, and until when."""

    service = forms.ModelChoiceField(
        Service.objects.all(),
        label=gettext_lazy("Service"),
        required=False,
        empty_label=gettext_lazy("every service"),
        help_text=gettext_lazy("The service whose conversations the block concerns."),
    )
    until = forms.SplitDateTimeField(
        label=gettext_lazy("Until"),
        required=False,
        widget=AdminSplitDateTime,
        help_text=gettext_lazy("UTC. Empty: until somebody ends it."),
    )

    def clean_until(self) -> Any:
        try:
            return checked_until(self.cleaned_data["until"])
        except CannotBlock as error:
            raise forms.ValidationError(sentence(error)) from None


def _block(person: RealNumber, data: Mapping[str, Any], actor: str) -> str:
    service = data["service"]
    service_id = service.pk if service else None
    try:
        block_person(person, reason=data["reason"], actor=actor, until=data["until"], service_id=service_id)
    except CannotBlock as error:
        raise ActRefused(sentence(error)) from None
    return _("%(person)s is blocked: their messages are stored, and nobody receives them.") % {"person": person}


BLOCK: Act[RealNumber] = Act(
    name="block",
    label=gettext_lazy("Block"),
    question=gettext_lazy("Block this person"),
    effect=gettext_lazy(
        "Their messages are stored and not passed on, queued ones are cancelled, and no new conversation begins with "
        "them. They are not told."
    ),
    permission="conversations.add_block",
    do=_block,
    form=BlockPersonForm,
    is_dangerous=True,
)


def _end_block(block: Block, data: Mapping[str, Any], actor: str) -> str:
    block.end(reason=data["reason"], actor=actor)
    people = [person for person in (block.person, block.other) if person is not None]
    for person in people:
        if Block.objects.active().filter(Q(person=person) | Q(other=person)).exists():
            return _("The block has ended, but another block of %(person)s is active.") % {"person": person}
    return _("The block has ended: new messages are passed on again.")


END_BLOCK: Act[Block] = Act(
    name="end_block",
    label=gettext_lazy("End the block"),
    question=gettext_lazy("End the block"),
    effect=gettext_lazy("New messages are passed on again. Those of the meantime stay stored."),
    permission="conversations.change_block",
    do=_end_block,
    is_offered=lambda block: block.is_active,
)


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the addresses of the two acts, for the admin of blocks."""
    return [
        path("person/<int:pk>/", site.admin_view(partial(_block_view, site)), name="conversations_block_person"),
        path("<int:pk>/end/", site.admin_view(partial(_end_block_view, site)), name="conversations_block_end"),
    ]


def _block_view(site: AdminSite, request: HttpRequest, pk: int) -> HttpResponse:
    require(request, BLOCK.permission)
    person = get_object_or_404(RealNumber, pk=pk)
    parent = (_("Find a caller"), reverse("admin:numbers_realnumber_find"))
    return act_response(request, BLOCK, person, site=site, back=_page_of(person.pk), parent=parent)


def _end_block_view(site: AdminSite, request: HttpRequest, pk: int) -> HttpResponse:
    require(request, END_BLOCK.permission)
    block = get_object_or_404(Block.objects.select_related("person", "other"), pk=pk)
    people = [person for person in (block.person_id, block.other_id) if person is not None]
    given = request.GET.get("person", "")
    at = next((person for person in people if str(person) == given), None) or (people[0] if people else None)
    back = _page_of(at) if at else reverse("admin:conversations_block_change", args=[block.pk])
    if conversation := id_in_url(request.GET.get("conversation", "")):
        back = reverse("admin:conversations_conversation_change", args=[conversation])
    return act_response(request, END_BLOCK, block, site=site, back=back)


def _page_of(person_id: int) -> str:
    return reverse("admin:numbers_realnumber_change", args=[person_id])
