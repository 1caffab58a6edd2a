"""Shortages for staff: the recent ones, the count of all, and where few numbers are left."""

from django.contrib import admin
from django.utils.translation import gettext_lazy

from numbers.admin.pools import PoolFilter
from numbers.models import PoolLevel, Shortage, ShortageCount
from numbers.models.pool import pool_name
from smsproxy.staff.model_admin import ReadOnlyAdmin


@admin.register(Shortage)
class ShortageAdmin(ReadOnlyAdmin):
    """Conversations that could not be created. As on every list, search by a person's number is not possible."""

    list_display = [
        "created_at",
        "pool_name",
        "country",
        "real_number",
        "eligible_count",
        "in_use",
        "needed",
        "next_release_at",
    ]
    list_filter = [("pool", PoolFilter), "country", "created_at"]
    list_select_related = ["pool", "real_number"]
    date_hierarchy = "created_at"

    @admin.display(description=gettext_lazy("pool"), ordering="pool__name")
    def pool_name(self, shortage: Shortage) -> str:
        return pool_name(shortage.pool)


@admin.register(ShortageCount)
class ShortageCountAdmin(ReadOnlyAdmin):
    list_display = ["pool_name", "country", "count"]
    list_filter = [("pool", PoolFilter), "country"]
    list_select_related = ["pool"]

    @admin.display(description=gettext_lazy("pool"), ordering="pool__name")
    def pool_name(self, count: ShortageCount) -> str:
        return pool_name(count.pool)


@admin.register(PoolLevel)
class PoolLevelAdmin(ReadOnlyAdmin):
    list_display = ["pool_name", "country", "free", "least", "measured_at"]
    list_filter = [("pool", PoolFilter), "country"]
    list_select_related = ["pool"]

    @admin.display(description=gettext_lazy("pool"), ordering="pool__name")
    def pool_name(self, level: PoolLevel) -> str:
        return pool_name(level.pool)
