"""Pools for staff, who create them and set how their numbers are used."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from numbers.models import Pool, ShortageCount
from numbers.models.pool import pool_name
from numbers.usage import is_pool_in_use
from smsproxy.staff.model_admin import BaseAdmin


class PoolFilter(admin.RelatedFieldListFilter):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.empty_value_display = SafeString(pool_name(None))


@admin.register(Pool)
class PoolAdmin(BaseAdmin):
    list_display = ["name", "numbers", "live_pairs", "cool_down", "number_cap", "created_at"]
    search_fields = ["name"]
    fields = ["name", "cool_down", "number_cap"]
    # Deleting several at once would check every row that refers to any of them.
    actions = None

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Pool]":
        pools: QuerySet[Pool] = super().get_queryset(request)
        ours = Q(numbers__is_rented=True)
        return pools.annotate(ours=Count("numbers", filter=ours), live=Sum("numbers__live_pair_count", default=0))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Requests use the name, so it stays. A pool with a wrong name can be deleted before it is used."""
        return ["name"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj and is_pool_in_use(obj))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Allow the pool's count of shortages to go with it. Nobody may delete that alone."""
        deleted, counts, forbidden, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, forbidden - {ShortageCount._meta.verbose_name}, protected

    @admin.display(description=_("numbers that we rent"), ordering="ours")
    def numbers(self, pool: Pool) -> int:
        return int(getattr(pool, "ours", 0))

    @admin.display(description=_("live pairs"), ordering="live")
    def live_pairs(self, pool: Pool) -> int:
        return int(getattr(pool, "live", 0))
