"""Top-ups for staff, who set the rules by which pools fill themselves, and see their results."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from numbers.models import TopUp
from numbers.models.pool import pool_name
from numbers.provisioning import budget
from numbers.provisioning.top_up import free_numbers
from smsproxy.staff.model_admin import BaseAdmin


@admin.register(TopUp)
class TopUpAdmin(BaseAdmin):
    list_display = [
        "__str__",
        "is_enabled",
        "last_error",
        "in_reserve",
        "low_threshold",
        "target",
        "spent_this_month",
        "monthly_budget",
    ]
    list_filter = ["is_enabled", ("last_error", admin.EmptyFieldListFilter), "country"]
    list_select_related = ["pool"]
    fields = [
        "pool",
        "country",
        "is_enabled",
        "low_threshold",
        "target",
        "in_reserve",
        "monthly_budget",
        "spent_this_month",
        "max_monthly_cost",
        "type",
        "last_error",
        "retry_at",
        "its_orders",
    ]
    readonly_fields = ["pool_name", "in_reserve", "spent_this_month", "last_error", "retry_at", "its_orders"]

    def get_readonly_fields(self, request: HttpRequest, obj: TopUp | None = None) -> Any:
        """The country stays: the orders of the rule are for it."""
        return [*self.readonly_fields, *(["country"] if obj else [])]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return super().formfield_for_foreignkey(db_field, request, **{"empty_label": _("the common pool")} | kwargs)

    def get_fields(self, request: HttpRequest, obj: TopUp | None = None) -> Any:
        """Hide the results of a new rule. Show the pool of a saved one by name: no pool means the common pool."""
        if obj:
            return ["pool_name", *self.fields[1:]]
        return [field for field in self.fields if field not in self.readonly_fields]

    def save_model(self, request: HttpRequest, obj: TopUp, form: Any, change: bool) -> None:
        if not change:
            super().save_model(request, obj, form, change)
            return
        # After a change it may be able to buy, so it does not wait. Save no other field: a worker may have changed it.
        obj.retry_at = None
        obj.save(update_fields=[*form.changed_data, "retry_at"])

    @admin.display(description=gettext_lazy("pool"))
    def pool_name(self, rule: TopUp) -> str:
        return pool_name(rule.pool)

    @admin.display(description=gettext_lazy("in reserve"))
    def in_reserve(self, rule: TopUp) -> int:
        return free_numbers(rule)

    @admin.display(description=gettext_lazy("EUR this month"))
    def spent_this_month(self, rule: TopUp) -> str:
        return f"{budget.spent_this_month(rule):.2f}"

    @admin.display(description=gettext_lazy("orders"))
    def its_orders(self, rule: TopUp) -> str:
        url = f"{reverse('admin:numbers_numberorder_changelist')}?top_up__id__exact={rule.pk}"
        return format_html(
            '<a href="{}">{}</a>',
            url,
            _("%(count)s for %(pool)s") % {"count": rule.orders.count(), "pool": pool_name(rule.pool)},
        )
