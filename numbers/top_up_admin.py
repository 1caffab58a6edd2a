"""Top-ups for staff, who make the rules by which pools fill themselves and see what became of them."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from numbers import budget
from numbers.models import TopUp
from numbers.models.pools import name_of
from numbers.topping_up import reserve
from smsproxy.admin import BoundedAdmin


@admin.register(TopUp)
class TopUpAdmin(BoundedAdmin):
    list_display = [
        "__str__",
        "is_enabled",
        "trouble",
        "in_reserve",
        "low_water",
        "target",
        "spent_this_month",
        "monthly_budget",
    ]
    list_filter = ["is_enabled", ("trouble", admin.EmptyFieldListFilter), "country"]
    list_select_related = ["pool"]
    fields = [
        "pool",
        "country",
        "is_enabled",
        "low_water",
        "target",
        "in_reserve",
        "monthly_budget",
        "spent_this_month",
        "max_monthly_cost",
        "type",
        "trouble",
        "retry_at",
        "its_orders",
    ]
    readonly_fields = ["in_reserve", "spent_this_month", "trouble", "retry_at", "its_orders"]

    def get_readonly_fields(self, request: HttpRequest, obj: TopUp | None = None) -> Any:
        """Its orders are for the pool and the country that it has."""
        return [*self.readonly_fields, *(["pool", "country"] if obj else [])]

    def save_model(self, request: HttpRequest, obj: TopUp, form: Any, change: bool) -> None:
        if not change:
            super().save_model(request, obj, form, change)
            return
        # Perhaps it can buy now: it need not wait. The rest of the row may have changed since it was read.
        obj.retry_at = None
        obj.save(update_fields=[*form.changed_data, "retry_at"])

    @admin.display(description="in reserve")
    def in_reserve(self, rule: TopUp) -> int | None:
        """None: it is only being made."""
        return reserve(rule) if rule.pk else None

    @admin.display(description="EUR this month")
    def spent_this_month(self, rule: TopUp) -> str | None:
        return f"{budget.committed(rule):.2f}" if rule.pk else None

    @admin.display(description="orders")
    def its_orders(self, rule: TopUp) -> str:
        url = f"{reverse('admin:numbers_numberorder_changelist')}?top_up__id__exact={rule.pk}"
        return format_html('<a href="{}">{} for {}</a>', url, rule.orders.count(), name_of(rule.pool))
