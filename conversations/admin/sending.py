"""Pauses of the account and of numbers; the workers; the troubles. The first page lets the account send again."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.models import (
    AccountEvent,
    AccountRateLimit,
    HostClock,
    JobLease,
    NumberRateLimit,
    RecordSearch,
    TroubleEpisode,
    Worker,
)
from smsproxy.database.clock import database_now
from smsproxy.staff.model_admin import ReadOnlyAdmin, ReadOnlyInline


class AccountEventInline(ReadOnlyInline):
    model = AccountEvent
    fields = ["created_at", "old_state", "new_state", "reason", "actor"]


@admin.register(AccountRateLimit)
class AccountRateLimitAdmin(ReadOnlyAdmin):
    list_display = [
        "__str__",
        "pause_reason",
        "code",
        "paused_at",
        "ready_at",
        "failures",
        "spend_day",
        "spent",
        "budget",
    ]
    fields = [
        "state", "pause_reason", "code", "paused_at", "ready_at", "failures",
        "spend_day", "spent", "budget_granted", "budget", "exhausted_budget",
    ]  # fmt: skip
    readonly_fields = ["budget"]
    inlines = [AccountEventInline]

    @admin.display(description=gettext_lazy("budget of that day"))
    def budget(self, account: AccountRateLimit) -> str:
        return _("no limit") if account.budget is None else f"{account.budget:.2f}"


@admin.register(AccountEvent)
class AccountEventAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "old_state", "new_state", "reason", "actor"]
    list_filter = ["new_state", "created_at"]


@admin.register(NumberRateLimit)
class NumberRateLimitAdmin(ReadOnlyAdmin):
    list_display = ["number", "state", "waits_since", "ready_at", "failures", "pause_reason"]
    list_filter = [("pause_reason", admin.EmptyFieldListFilter), "number__state"]
    list_select_related = ["number"]
    search_fields = ["number__number"]
    actions = ["end_wait"]

    @admin.display(description=gettext_lazy("state"), ordering="number__state")
    def state(self, pace: NumberRateLimit) -> str:
        return pace.number.get_state_display()

    @admin.action(description=gettext_lazy("Resume sending now"), permissions=["change_state"])
    def end_wait(self, request: HttpRequest, queryset: "QuerySet[NumberRateLimit]") -> None:
        self.apply_with_reason(request, queryset, lambda pace, reason, actor: pace.end_wait())


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ["name", "lives", "trouble", "version", "in_flight", "concurrency", "started_at", "seen_at"]

    @admin.display(description=gettext_lazy("lives"), boolean=True)
    def lives(self, worker: Worker) -> bool:
        return worker.is_alive(database_now())


@admin.register(HostClock)
class HostClockAdmin(ReadOnlyAdmin):
    list_display = ["host", "skew_seconds", "measured_at"]


@admin.register(TroubleEpisode)
class TroubleEpisodeAdmin(ReadOnlyAdmin):
    list_display = ["kind", "sentence", "began_at", "ended_at"]
    list_filter = ["kind", ("ended_at", admin.EmptyFieldListFilter)]
    date_hierarchy = "began_at"


@admin.register(RecordSearch)
class RecordSearchAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "failing_since", "failures", "retry_at", "hour_began_at", "requests"]


@admin.register(JobLease)
class JobLeaseAdmin(ReadOnlyAdmin):
    list_display = ["name", "holder", "expires_at"]
