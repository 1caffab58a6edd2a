"""Block a participant, towards everybody or towards one other person of the conversation."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.admin.thread.people import People, Person
from conversations.models import Participant
from conversations.trust.blocks import CannotBlock, block_pair, block_person
from smsproxy.database.clock import database_now
from smsproxy.services.models import Service
from smsproxy.staff.acts import Act, ActForm, ActRefused
from smsproxy.values import sentence

DAYS = (
    (1, gettext_lazy("1 day")),
    (7, gettext_lazy("1 week")),
    (30, gettext_lazy("30 days")),
    (0, gettext_lazy("until somebody ends it")),
)


def block_act(person: Person, people: People, service: Service) -> Act[Participant]:
    """Return the act that blocks this person. service: of the conversation."""
    others = [each for each in people.by_position.values() if each is not person]

    class BlockForm(ActForm):
        towards = forms.TypedChoiceField(
            label=gettext_lazy("Towards"),
            coerce=int,
            choices=[(-1, _("everybody")), *((each.participant.position, each.name) for each in others)],
            help_text=gettext_lazy("Towards one person, neither gets the texts of the other."),
        )
        days = forms.TypedChoiceField(label=gettext_lazy("How long"), coerce=int, choices=DAYS, initial=0)
        everywhere = forms.TypedChoiceField(
            label=gettext_lazy("Where"),
            coerce=int,
            choices=[
                (0, _("in conversations of %(service)s") % {"service": service}),
                (1, _("in those of every service")),
            ],
        )

    def do(participant: Participant, data: Mapping[str, Any], user: str) -> str:
        other = next((each for each in others if each.participant.position == data["towards"]), None)
        options: dict[str, Any] = {
            "reason": data["reason"],
            "actor": user,
            "until": database_now() + timedelta(days=data["days"]) if data["days"] else None,
            "service_id": None if data["everywhere"] else service.pk,
        }
        target = other.participant.real_number if other else None
        try:
            if target is None:
                block_person(participant.real_number, **options)
            else:
                block_pair(participant.real_number, target, **options)
        except CannotBlock as error:
            raise ActRefused(sentence(error)) from error
        name = {"name": participant.name, "other": other.name if other else ""}
        if other:
            return _("%(name)s and %(other)s are blocked towards each other.") % name
        return _("%(name)s is blocked.") % name

    return Act(
        name="block",
        label=gettext_lazy("Block"),
        question=_("Block %(name)s?") % {"name": person.name},
        effect=gettext_lazy(
            "Their texts are stored and not passed on. What waits to be sent is cancelled. They still get the texts of "
            "others, and are not told."
        ),
        permission="conversations.add_block",
        do=do,
        form=BlockForm,
        is_dangerous=True,
    )
