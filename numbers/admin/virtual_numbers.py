"""The pool for staff. Numbers are bought and given back by the commands, which say what it costs.

Of a virtual number, staff set its pool, its rate, and whether it is reserved; its state is changed by actions only.
"""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest
from django.utils.safestring import SafeString

from numbers.admin.csv_import import NumbersAsCSV
from numbers.admin.number_health import ShowsHealth
from numbers.models import (
    NumberEvent,
    NumberOrder,
    OrderEvent,
    Pool,
    RealNumber,
    Shortage,
    ShortageCount,
    VirtualNumber,
)
from numbers.models.pool import name_of
from numbers.spreadsheet.edit import Amendment, amend
from numbers.usage import is_pool_in_use
from smsproxy.staff.admin import BoundedAdmin, LeavesATrace, ReadOnlyAdmin, ReadOnlyInline
from smsproxy.webhook_urls import inbound_sms_url


class NumberEventInline(ReadOnlyInline):
    model = NumberEvent
    fields = ["created_at", "old_state", "new_state", "reason", "actor"]


class OrderEventInline(ReadOnlyInline):
    model = OrderEvent
    fields = ["created_at", "old_state", "new_state", "reason", "actor"]


class PoolFilter(admin.RelatedFieldListFilter):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.empty_value_display = SafeString(name_of(None))


@admin.register(VirtualNumber)
class VirtualNumberAdmin(NumbersAsCSV, ShowsHealth, ReadOnlyAdmin):
    # Named, so that the one with the buttons for CSV builds upon it.
    change_list_template = "admin/numbers/virtualnumber/change_list.html"
    list_display = [
        "number",
        "state",
        "pool_name",
        "reserved",
        "country",
        "monthly_cost_in_euros",
        "live",
        "is_rented",
        "reaches_us",
        "worst_share",
        "last_assigned_at",
    ]
    list_filter = [
        "state",
        "is_rented",
        ("pool", PoolFilter),
        "country",
        "type",
        "is_reserved",
        "can_sms",
        ("order", admin.RelatedOnlyFieldListFilter),
    ]
    list_select_related = ["pool"]
    search_fields = ["number"]
    search_help_text = "By virtual number, or a part of it."
    fields = [
        "number",
        "state",
        "in_quarantine",
        "health",
        "is_rented",
        "pool",
        "is_reserved",
        "country",
        "area",
        "region",
        "type",
        "can_sms",
        "rate",
        "monthly_cost_in_euros",
        "live",
        "reaches_us",
        "webhook_url",
        "order",
        "last_assigned_at",
        "created_at",
    ]
    readonly_fields = [str(field) for field in fields if field not in ("pool", "is_reserved", "rate")]
    inlines = [NumberEventInline]
    actions = ["quarantine", "drain", "restore"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_state_permission(request)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if rate := form.base_fields.get("rate"):
            default = f"{obj.default_rate:g}, as NUMBER_RATES says for {obj.country}"
            rate.help_text = f"The segments that it may send a second. Empty: {default}."
        return form

    def save_model(self, request: HttpRequest, obj: VirtualNumber, form: Any, change: bool) -> None:
        number = VirtualNumber.objects.select_related("pool").get(pk=obj.pk)
        changes = {field: form.cleaned_data[field] for field in form.changed_data}
        amend([Amendment(number=number, changes=changes)], why="by staff", actor=request.user.get_username())

    @admin.display(description="pool", ordering="pool__name")
    def pool_name(self, number: VirtualNumber) -> str:
        return name_of(number.pool)

    @admin.display(ordering="is_reserved")
    def reserved(self, number: VirtualNumber) -> str:
        """In words: most are not, and a red cross says that something is wrong."""
        return "reserved" if number.is_reserved else ""

    @admin.display(description="EUR a month", ordering="monthly_cost")
    def monthly_cost_in_euros(self, number: VirtualNumber) -> str:
        return "unknown" if number.monthly_cost is None else f"{number.monthly_cost:.2f}"

    @admin.display(description="texts reach us", boolean=True)
    def reaches_us(self, number: VirtualNumber) -> bool | None:
        """None: it is not ours, so it need not."""
        if not number.is_rented:
            return None
        return number.webhook_url == inbound_sms_url()

    @admin.action(description="Quarantine: give them to no new conversation", permissions=["change_state"])
    def quarantine(self, request: HttpRequest, queryset: "QuerySet[VirtualNumber]") -> None:
        self.call_each(request, queryset, lambda number, actor: number.quarantine(reason="by staff", actor=actor))

    @admin.action(
        description="Drain: no new conversations; retired for good with its last pair", permissions=["change_state"]
    )
    def drain(self, request: HttpRequest, queryset: "QuerySet[VirtualNumber]") -> None:
        self.call_each(request, queryset, lambda number, actor: number.drain(reason="by staff", actor=actor))

    @admin.action(description="Restore from quarantine or draining", permissions=["change_state"])
    def restore(self, request: HttpRequest, queryset: "QuerySet[VirtualNumber]") -> None:
        self.call_each(request, queryset, lambda row, actor: row.restore(reason="by staff", actor=actor))


@admin.register(Pool)
class PoolAdmin(BoundedAdmin):
    list_display = ["name", "numbers", "live_pairs", "cool_down", "number_cap", "created_at"]
    search_fields = ["name"]
    fields = ["name", "cool_down", "number_cap"]
    # Several at once would be deleted with a look at whatever refers to any of them.
    actions = None

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Pool]":
        pools: QuerySet[Pool] = super().get_queryset(request)
        ours = Q(numbers__is_rented=True)
        return pools.annotate(ours=Count("numbers", filter=ours), live=Sum("numbers__live", default=0))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Requests call it by its name, so that stays; one of a wrong name can be deleted before it is used."""
        return ["name"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj and is_pool_in_use(obj))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Its count of shortages goes with it, which nobody may delete alone."""
        deleted, counts, forbidden, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, forbidden - {ShortageCount._meta.verbose_name}, protected

    @admin.display(description="numbers that we rent", ordering="ours")
    def numbers(self, pool: Pool) -> int:
        return int(getattr(pool, "ours", 0))

    @admin.display(ordering="live")
    def live_pairs(self, pool: Pool) -> int:
        return int(getattr(pool, "live", 0))


@admin.register(Shortage)
class ShortageAdmin(ReadOnlyAdmin):
    """Conversations that could not be made. Not searched by a person's number, as no list is."""

    list_display = [
        "created_at",
        "pool_name",
        "country",
        "real_number",
        "able",
        "in_use",
        "needed",
        "next_release_at",
    ]
    list_filter = [("pool", PoolFilter), "country", "created_at"]
    list_select_related = ["pool", "real_number"]
    date_hierarchy = "created_at"

    @admin.display(description="pool", ordering="pool__name")
    def pool_name(self, shortage: Shortage) -> str:
        return name_of(shortage.pool)


@admin.register(ShortageCount)
class ShortageCountAdmin(ReadOnlyAdmin):
    list_display = ["pool_name", "country", "count"]
    list_filter = [("pool", PoolFilter), "country"]
    list_select_related = ["pool"]

    @admin.display(description="pool", ordering="pool__name")
    def pool_name(self, count: ShortageCount) -> str:
        return name_of(count.pool)


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
        "created_at",
    ]
    list_filter = ["state", ("pool", PoolFilter), "country", ("top_up", admin.RelatedOnlyFieldListFilter), "created_at"]
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
        "created_at",
    ]
    readonly_fields = ["bought"]
    inlines = [OrderEventInline]
    actions = ["abandon"]

    @admin.action(description="Give up: buy no more for them", permissions=["change_state"])
    def abandon(self, request: HttpRequest, queryset: "QuerySet[NumberOrder]") -> None:
        self.call_each(request, queryset, lambda order, actor: order.abandon(actor=actor))

    def get_queryset(self, request: HttpRequest) -> "QuerySet[NumberOrder]":
        orders: QuerySet[NumberOrder] = super().get_queryset(request)
        return orders.annotate(ours=Count("numbers", filter=Q(numbers__is_rented=True)))

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
