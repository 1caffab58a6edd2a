"""The progress of an order: what is bought, what failed and why, and how to stop it. The page refreshes itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from numbers.admin.pool_page.figures import WIDTH
from numbers.models import NumberEvent, NumberOrder, NumberState, OrderState, VirtualNumber
from numbers.models.pool import pool_name
from numbers.provisioning.staff_order import is_unfinished
from smsproxy.staff.acts import Act, act_response
from smsproxy.staff.rights import require
from smsproxy.webhook_urls import inbound_sms_url

MAX_NUMBERS = 200
MAX_EVENTS = 20


@dataclass(frozen=True, kw_only=True)
class OrderedNumber:
    """A number of the order, as far as it has come. why: why it failed, or ""."""

    number: VirtualNumber
    label: Any
    grade: str
    why: str = ""


def _stop(order: NumberOrder, data: Mapping[str, Any], actor: str) -> str:
    order.stop(reason=data["reason"], actor=actor)
    return _("Stopped. A purchase in progress is finished first, and no other begins.")


STOP: Act[NumberOrder] = Act(
    name="stop",
    label=gettext_lazy("Stop buying"),
    question=gettext_lazy("Stop buying for this order?"),
    effect=gettext_lazy("No more numbers are bought for it. Those that it has bought stay, and cost their rent."),
    permission="numbers.add_numberorder",
    do=_stop,
    is_dangerous=True,
    is_offered=lambda order: order.token is not None and order.state == OrderState.OPEN and not order.stopped_by,
)


def order_view(request: HttpRequest, pk: int, site: AdminSite) -> HttpResponse:
    """Return the progress page of any order."""
    require(request, "numbers.view_numberorder", "numbers.add_numberorder")
    order = _order(pk)
    numbers = _numbers(order)
    ours = [each.number for each in numbers if each.number.is_rented]
    context = {
        "title": _("Order %s") % order.pk,
        "order": order,
        "pool_name": pool_name(order.pool),
        "numbers": numbers,
        "bought": len(ours),
        "ready": sum(number.state != NumberState.CONFIGURING for number in ours),
        "rent": sum((number.monthly_cost or Decimal(0) for number in ours), Decimal(0)),
        "bar_width": WIDTH,
        "done_width": min(len(ours) * WIDTH // order.count, WIDTH),
        "events": order.events.all()[:MAX_EVENTS],
        "is_live": order.token is not None and is_unfinished(order),
        "stop_url": reverse("admin:pool_order_stop", args=[pk]) if STOP.is_for(request, order) else "",
    }
    return TemplateResponse(request, "admin/pool_page/order.html", {**site.each_context(request), **context})


def stop_view(request: HttpRequest, pk: int, site: AdminSite) -> HttpResponse:
    """Ask why, and stop the order."""
    back, parent = reverse("admin:pool_order", args=[pk]), (_("Pool"), reverse("admin:pool"))
    return act_response(request, STOP, _order(pk), site=site, back=back, parent=parent)


def _order(pk: int) -> NumberOrder:
    order = NumberOrder.objects.select_related("pool", "top_up__pool").filter(pk=pk).first()
    if order is None:
        raise Http404
    return order


def _numbers(order: NumberOrder) -> list[OrderedNumber]:
    """Return its numbers with what became of each: also those that the carrier refused."""
    numbers = list(order.numbers.select_related("pool").order_by("pk")[:MAX_NUMBERS])
    refused = [number.pk for number in numbers if number.state == NumberState.RETIRED]
    # The last event of each wins.
    events = NumberEvent.objects.filter(number__in=refused, new_state=NumberState.RETIRED).order_by("pk")
    why = dict(events.values_list("number", "reason"))
    return [_standing(number, why.get(number.pk, "")) for number in numbers]


def _standing(number: VirtualNumber, why: str) -> OrderedNumber:
    if number.state == NumberState.ORDERED:
        return OrderedNumber(number=number, label=_("being bought"), grade="warn")
    if number.state != NumberState.RETIRED and number.webhook_url != inbound_sms_url():
        return OrderedNumber(number=number, label=_("bought, does not reach us yet"), grade="warn")
    if number.state == NumberState.RETIRED:
        label = _("retired") if number.is_rented else _("not ours")
        return OrderedNumber(number=number, label=label, grade="bad", why=why)
    return OrderedNumber(number=number, label=_("bought, reaches us"), grade="good")
