"""What staff do to a number: drain, quarantine, restore, release. Other rooms add acts of theirs with `add_act`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from numbers.models import NumberState, VirtualNumber
from numbers.provisioning.release import OUT_OF_SERVICE, CannotRelease, release, use_of
from numbers.provisioning.retry import ShutdownRequested
from numbers.provisioning.staff_order import carrier_within
from smsproxy.carriers.base import CarrierError
from smsproxy.database.deadline import deadline_extended
from smsproxy.staff.acts import Act, ActRefused, act_response
from smsproxy.staff.rights import require

# Seconds for which an act may wait for the carrier, and for which its request may take.
CARRIER_SECONDS = 15.0
REQUEST_SECONDS = 60.0

_CHANGE = "numbers.change_virtualnumber"


@dataclass(frozen=True, kw_only=True)
class NumberAct:
    """An act with its page. context: what the template shows of this number before staff confirm."""

    act: Act[VirtualNumber]
    context: Callable[[VirtualNumber], Mapping[str, Any]] = lambda number: {}


def _drain(number: VirtualNumber, data: Mapping[str, Any], actor: str) -> str:
    number.drain(reason=data["reason"], actor=actor)
    return _("%s takes no new conversations. It retires after its last pair.") % number


def _quarantine(number: VirtualNumber, data: Mapping[str, Any], actor: str) -> str:
    number.quarantine(reason=data["reason"], actor=actor)
    return _("%s is in quarantine. To move its people now, replace it.") % number


def _restore(number: VirtualNumber, data: Mapping[str, Any], actor: str) -> str:
    number.restore(reason=data["reason"], actor=actor)
    return _("%(number)s is %(state)s again.") % {"number": number, "state": number.get_state_display()}


def _release(number: VirtualNumber, data: Mapping[str, Any], actor: str) -> str:
    try:
        with carrier_within(CARRIER_SECONDS):
            release(number, reason=data["reason"], actor=actor, if_drained=True)
    except CannotRelease as error:
        raise ActRefused(_("Nothing was cancelled: %s.") % error) from None
    except (CarrierError, ShutdownRequested) as error:
        why = getattr(error, "detail", "") or _("it did not answer in time")
        raise ActRefused(
            _("The carrier has not confirmed: %s. The number is out of service, perhaps cancelled. Release it again.")
            % why
        ) from None
    return _("%s is cancelled at the carrier.") % number


def _can_be_released(number: VirtualNumber) -> bool:
    return number.is_rented and number.state in OUT_OF_SERVICE and not number.live_pair_count


NUMBER_ACTS: dict[str, NumberAct] = {}


def add_act(each: NumberAct) -> None:
    """Offer an act on the page of a number."""
    NUMBER_ACTS[each.act.name] = each


add_act(
    NumberAct(
        act=Act(
            name="quarantine",
            label=gettext_lazy("Quarantine"),
            question=gettext_lazy("Quarantine this number?"),
            effect=gettext_lazy(
                "It gets no new conversations until somebody restores it. Its conversations stay with it."
            ),
            permission=_CHANGE,
            do=_quarantine,
            is_offered=lambda number: NumberState.QUARANTINED in number.ALLOWED[number.state],
        )
    )
)
add_act(
    NumberAct(
        act=Act(
            name="drain",
            label=gettext_lazy("Drain"),
            question=gettext_lazy("Drain this number?"),
            effect=gettext_lazy(
                "It gets no new conversations. It serves those that it has, and retires after the last has cooled down."
            ),
            permission=_CHANGE,
            do=_drain,
            is_offered=lambda number: NumberState.DRAINING in number.ALLOWED[number.state],
        )
    )
)
add_act(
    NumberAct(
        act=Act(
            name="restore",
            label=gettext_lazy("Restore"),
            question=gettext_lazy("Restore this number?"),
            effect=gettext_lazy("It gets new conversations again. Texts that it lost before do not count any more."),
            permission=_CHANGE,
            do=_restore,
            is_offered=lambda number: (
                number.is_rented and number.state in (NumberState.DRAINING, NumberState.QUARANTINED)
            ),
        )
    )
)
add_act(
    NumberAct(
        act=Act(
            name="release",
            label=gettext_lazy("Release"),
            question=gettext_lazy("Give this number back to the carrier?"),
            effect=gettext_lazy(
                "It is cancelled for good. The carrier may rent it to somebody, and it may not be available again."
            ),
            permission="numbers.release_virtualnumber",
            do=_release,
            is_dangerous=True,
            is_atomic=False,
            is_offered=_can_be_released,
            template="admin/pool_page/release.html",
        ),
        context=lambda number: {"use": use_of(number)},
    )
)


def offered_acts(request: HttpRequest, number: VirtualNumber) -> list[dict[str, Any]]:
    """Return the acts that this user may do to this number now, each with its URL."""
    return [
        {"act": each.act, "url": reverse("admin:pool_number_act", args=[number.pk, name])}
        for name, each in NUMBER_ACTS.items()
        if each.act.is_for(request, number)
    ]


def number_act_view(request: HttpRequest, pk: int, name: str, site: AdminSite) -> HttpResponse:
    """Ask for the reason, or do the act and return to the number's page."""
    require(request, "numbers.view_virtualnumber")
    number = VirtualNumber.objects.select_related("pool").filter(pk=pk).first()
    found = NUMBER_ACTS.get(name)
    if number is None or found is None:
        raise Http404
    require(request, found.act.permission)
    back = reverse("admin:numbers_virtualnumber_change", args=[pk])
    with deadline_extended(seconds=REQUEST_SECONDS):
        return act_response(
            request,
            found.act,
            number,
            site=site,
            back=back,
            context=lambda form: {"shown": found.context(number)},
            parent=(_("Pool"), reverse("admin:pool")),
        )
