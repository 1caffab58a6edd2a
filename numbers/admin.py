"""The pool for staff, to be looked at. Numbers are bought and given back by the commands, which say what it costs.

Of a virtual number, its rate can be changed, and whether it is in quarantine.
"""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from numbers.models import NumberEvent, NumberOrder, NumberState, OrderEvent, RealNumber, VirtualNumber
from smsproxy.admin import LeavesATrace, ReadOnlyAdmin, ReadOnlyInline
from smsproxy.public_urls import inbound_sms_url


class NumberEventInline(ReadOnlyInline):
    model = NumberEvent
    fields = ["created_at", "old_state", "new_state", "reason", "actor"]


class OrderEventInline(ReadOnlyInline):
    model = OrderEvent
    fields = ["created_at", "old_state", "new_state", "reason", "actor"]


@admin.register(VirtualNumber)
class VirtualNumberAdmin(ReadOnlyAdmin):
    list_display = [
        "number",
        "state",
        "country",
        "type",
        "monthly_cost_in_euros",
        "live_pairs",
        "reaches_us",
        "last_assigned_at",
    ]
    list_filter = ["state", "country", "type", "can_sms", ("order", admin.RelatedOnlyFieldListFilter)]
    search_fields = ["number"]
    search_help_text = "By virtual number, or a part of it."
    fields = [
        "number",
        "state",
        "country",
        "area",
        "type",
        "can_sms",
        "rate",
        "monthly_cost_in_euros",
        "live_pairs",
        "reaches_us",
        "webhook_url",
        "order",
        "last_assigned_at",
        "created_at",
    ]
    readonly_fields = [str(field) for field in fields if field != "rate"]
    inlines = [NumberEventInline]
    actions = ["quarantine", "restore"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[VirtualNumber]":
        unreleased = Q(participants__released_at__isnull=True)
        numbers: QuerySet[VirtualNumber] = super().get_queryset(request)
        return numbers.annotate(pairs=Count("participants", filter=unreleased))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_state_permission(request)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if rate := form.base_fields.get("rate"):
            default = f"{obj.default_rate:g}, as NUMBER_RATES says for {obj.country}"
            rate.help_text = f"The segments that it may send a second. Empty: {default}."
        return form

    def save_model(self, request: HttpRequest, obj: VirtualNumber, form: Any, change: bool) -> None:
        # The rest of the row may have changed since it was read.
        obj.save(update_fields=["rate"])

    @admin.display(description="EUR a month", ordering="monthly_cost", empty_value="unknown")
    def monthly_cost_in_euros(self, number: VirtualNumber) -> Any:
        return number.monthly_cost

    @admin.display(description="live pairs", ordering="pairs")
    def live_pairs(self, number: VirtualNumber) -> int:
        """People who could text it now, or until their cool-down is over."""
        return int(getattr(number, "pairs", 0))

    @admin.display(description="texts reach us", boolean=True)
    def reaches_us(self, number: VirtualNumber) -> bool | None:
        """None: it is not ours, so it need not."""
        if number.state in (NumberState.ORDERED, NumberState.RETIRED):
            return None
        return number.webhook_url == inbound_sms_url()

    @admin.action(description="Quarantine: give them to no new conversation", permissions=["change_state"])
    def quarantine(self, request: HttpRequest, queryset: "QuerySet[VirtualNumber]") -> None:
        self.call_each(request, queryset, lambda number, actor: number.quarantine(reason="by staff", actor=actor))

    @admin.action(description="Restore from quarantine or draining", permissions=["change_state"])
    def restore(self, request: HttpRequest, queryset: "QuerySet[VirtualNumber]") -> None:
        self.call_each(request, queryset, lambda row, actor: row.restore(reason="by staff", actor=actor))


@admin.register(NumberOrder)
class NumberOrderAdmin(ReadOnlyAdmin):
    list_display = ["id", "state", "country", "count", "bought", "features", "type", "max_monthly_cost", "created_at"]
    list_filter = ["state", "country", "created_at"]
    fields = [
        "state",
        "country",
        "count",
        "bought",
        "features",
        "type",
        "pattern",
        "pattern_place",
        "max_monthly_cost",
        "created_at",
    ]
    readonly_fields = ["bought"]
    inlines = [OrderEventInline]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[NumberOrder]":
        ours = ~Q(numbers__state__in=[NumberState.ORDERED, NumberState.RETIRED])
        orders: QuerySet[NumberOrder] = super().get_queryset(request)
        return orders.annotate(ours=Count("numbers", filter=ours))

    @admin.display(ordering="ours")
    def bought(self, order: NumberOrder) -> int:
        return int(getattr(order, "ours", 0))


@admin.register(RealNumber)
class RealNumberAdmin(LeavesATrace):
    """People's numbers, masked. Not searched by number: what is searched for lands in URLs, and so in logs."""

    list_display = ["__str__", "country", "line_type", "looked_up_with", "looked_up_at", "created_at"]
    list_filter = ["country", "line_type", "looked_up_at"]
    readonly_fields = ["masked", "in_full"]
    ordering = ["-id"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = "in_full" if self._may_reveal(request) else "masked"
        return [shown, "country", "line_type", "looked_up_with", "looked_up_at", "created_at"]

    @admin.display(description="number")
    def masked(self, number: RealNumber) -> str:
        return str(number)

    @admin.display(description="number")
    def in_full(self, number: RealNumber) -> str:
        return number.number

    def what_is_seen(self, request: HttpRequest, row: Any) -> str:
        return "the number in full" if self._may_reveal(request) else ""

    def _may_reveal(self, request: HttpRequest) -> bool:
        return request.user.has_perm("numbers.reveal_realnumber")


class EventAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "old_state", "new_state", "reason", "actor"]
    list_filter = ["new_state", "created_at"]
    date_hierarchy = "created_at"


@admin.register(NumberEvent)
class NumberEventAdmin(EventAdmin):
    list_display = ["created_at", "number", "old_state", "new_state", "reason", "actor"]
    list_select_related = ["number"]
    search_fields = ["number__number"]


@admin.register(OrderEvent)
class OrderEventAdmin(EventAdmin):
    list_display = ["created_at", "order", "old_state", "new_state", "reason", "actor"]
    list_select_related = ["order"]
