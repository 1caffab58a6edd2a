"""Pauses of the account and of numbers, with an action to resume sending; the workers; the troubles."""

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
from smsproxy.states import StaleState


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
    actions = ["resume", "grant_budget"]

    @admin.action(description=gettext_lazy("Resume sending now"), permissions=["change_state"])
    def resume(self, request: HttpRequest, queryset: "QuerySet[AccountRateLimit]") -> None:
        def resume(account: AccountRateLimit, actor: str) -> None:
            if not account.resume("staff: send again now", actor=actor):
                raise StaleState("the account is not paused")

        self.apply_to_each(request, queryset, resume)

    @admin.display(description=gettext_lazy("budget of that day"))
    def budget(self, account: AccountRateLimit) -> str:
        return _("no limit") if account.budget is None else f"{account.budget:.2f}"

    @admin.action(description=gettext_lazy("Grant another DAILY_BUDGET for today"), permissions=["change_state"])
    def grant_budget(self, request: HttpRequest, queryset: "QuerySet[AccountRateLimit]") -> None:
        self.apply_to_each(request, queryset, lambda account, actor: account.grant_budget(actor=actor))


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
        self.apply_to_each(request, queryset, lambda pace, actor: pace.end_wait())


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
