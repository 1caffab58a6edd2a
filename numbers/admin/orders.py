"""Orders of numbers for staff, who can abandon one."""

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from numbers.admin.pools import PoolFilter
from numbers.models import NumberOrder, OrderEvent
from smsproxy.staff.model_admin import ReadOnlyAdmin, ReadOnlyInline


class OrderEventInline(ReadOnlyInline):
    model = OrderEvent
    fields = ["created_at", "old_state", "new_state", "reason", "actor"]


@admin.register(NumberOrder)
class NumberOrderAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "state",
        "pool",
        "country",
        "count",
        "bought",
        "features",
        "type",
        "max_monthly_cost",
        "top_up",
        "ordered_by",
        "last_error",
        "created_at",
        "progress",
    ]
    list_filter = [
        "state",
        ("pool", PoolFilter),
        "country",
        ("top_up", admin.RelatedOnlyFieldListFilter),
        ("last_error", admin.EmptyFieldListFilter),
        "created_at",
    ]
    list_select_related = ["pool", "top_up__pool"]
    fields = [
        "state",
        "pool",
        "country",
        "count",
        "bought",
        "features",
        "type",
        "pattern",
        "pattern_place",
        "max_monthly_cost",
        "top_up",
        "ordered_by",
        "agreed_total",
        "stopped_by",
        "last_error",
        "created_at",
        "progress",
    ]
    readonly_fields = ["bought", "progress"]
    inlines = [OrderEventInline]
    actions = ["abandon"]

    @admin.action(description=gettext_lazy("Abandon: buy no more for these orders"), permissions=["change_state"])
    def abandon(self, request: HttpRequest, queryset: "QuerySet[NumberOrder]") -> None:
        self.apply_with_reason(request, queryset, lambda order, reason, actor: order.abandon(actor=actor))

    def get_queryset(self, request: HttpRequest) -> "QuerySet[NumberOrder]":
        orders: QuerySet[NumberOrder] = super().get_queryset(request)
        return orders.annotate(ours=Count("numbers", filter=Q(numbers__is_rented=True)))

    @admin.display(description=gettext_lazy("bought"), ordering="ours")
    def bought(self, order: NumberOrder) -> int:
        return int(getattr(order, "ours", 0))

    @admin.display(description=gettext_lazy("progress"))
    def progress(self, order: NumberOrder) -> str:
        return format_html('<a href="{}">{}</a>', reverse("admin:pool_order", args=[order.pk]), _("Show"))
