"""Virtual numbers for staff: the list, for many at once, and the page of each number. See pool_page/ for the pool.

Staff set the pool and the rate of a number, and whether it is reserved. Only acts change its state.
"""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from numbers.admin.csv_import import CsvImportExportMixin
from numbers.admin.number_health import HealthAdminMixin
from numbers.admin.pool_page.figures import bar_of
from numbers.admin.pool_page.number_acts import offered_acts
from numbers.admin.pools import PoolFilter
from numbers.models import NumberEvent, VirtualNumber
from numbers.models.pool import pool_name
from numbers.spreadsheet.edit import NumberEdit, apply_edits
from numbers.usage import live_pairs_of_number
from smsproxy.staff.model_admin import ReadOnlyAdmin, ReadOnlyInline
from smsproxy.webhook_urls import inbound_sms_url


class NumberEventInline(ReadOnlyInline):
    model = NumberEvent
    fields = ["created_at", "old_state", "new_state", "reason", "actor"]


@admin.register(VirtualNumber)
class VirtualNumberAdmin(CsvImportExportMixin, HealthAdminMixin, ReadOnlyAdmin):
    list_display = [
        "number",
        "state",
        "pool_name",
        "reserved",
        "country",
        "monthly_cost_in_euros",
        "live_pair_count",
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
    search_help_text = _("By virtual number, or a part of it.")
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
        "live_pair_count",
        "reaches_us",
        "webhook_url",
        "order",
        "last_assigned_at",
        "created_at",
    ]
    readonly_fields = [str(field) for field in fields if field not in ("pool", "is_reserved", "rate")]
    inlines = [NumberEventInline]
    actions = ["quarantine", "drain", "restore"]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if number := context.get("original"):
            pairs = live_pairs_of_number(number)
            bar = bar_of(number, pairs.cooling, number.live_pair_count)
            context["panel"] = {"bar": bar, "acts": offered_acts(request, number), "cool_at": pairs.last_release_at}
        return super().render_change_form(request, context, *args, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_state_permission(request)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if rate := form.base_fields.get("rate"):
            said = _(
                "Segments a second that it may send. Leave empty for %(rate)s, as NUMBER_SEGMENTS_PER_SECOND says for "
                "%(country)s."
            )
            rate.help_text = said % {"rate": f"{obj.default_rate:g}", "country": obj.country}
        return form

    def save_model(self, request: HttpRequest, obj: VirtualNumber, form: Any, change: bool) -> None:
        number = VirtualNumber.objects.select_related("pool").get(pk=obj.pk)
        changes = {field: form.cleaned_data[field] for field in form.changed_data}
        apply_edits([NumberEdit(number=number, changes=changes)], why="by staff", actor=request.user.get_username())

    @admin.display(description=_("pool"), ordering="pool__name")
    def pool_name(self, number: VirtualNumber) -> str:
        return pool_name(number.pool)

    @admin.display(description=_("reserved"), ordering="is_reserved")
    def reserved(self, number: VirtualNumber) -> str:
        """Return a word, not a flag: most numbers are not reserved, and a red cross looks like an error."""
        return gettext("reserved") if number.is_reserved else ""

    @admin.display(description=_("EUR a month"), ordering="monthly_cost")
    def monthly_cost_in_euros(self, number: VirtualNumber) -> str:
        return gettext("unknown") if number.monthly_cost is None else f"{number.monthly_cost:.2f}"

    @admin.display(description=_("messages reach us"), boolean=True)
    def reaches_us(self, number: VirtualNumber) -> bool | None:
        """Return whether the webhook is ours, or None for a number that we do not rent."""
        if not number.is_rented:
            return None
        return number.webhook_url == inbound_sms_url()

    @admin.action(description=_("Quarantine: no new conversations"), permissions=["change_state"])
    def quarantine(self, request: HttpRequest, queryset: "QuerySet[VirtualNumber]") -> None:
        self.apply_with_reason(request, queryset, lambda row, why, actor: row.quarantine(reason=why, actor=actor))

    @admin.action(
        description=_("Drain: no new conversations; retired after the last live pair"), permissions=["change_state"]
    )
    def drain(self, request: HttpRequest, queryset: "QuerySet[VirtualNumber]") -> None:
        self.apply_with_reason(request, queryset, lambda row, why, actor: row.drain(reason=why, actor=actor))

    @admin.action(description=_("Restore from quarantine or draining"), permissions=["change_state"])
    def restore(self, request: HttpRequest, queryset: "QuerySet[VirtualNumber]") -> None:
        self.apply_with_reason(request, queryset, lambda row, why, actor: row.restore(reason=why, actor=actor))
