"""The counters and histograms of /metrics, as they are stored, and what they and the account were in the past."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from conversations.insight.sampling import DELIVERED, FAILED, RECEIVED, SENT
from conversations.models import DailySpend, HourlySample
from smsproxy.metrics.models import MetricValue
from smsproxy.staff.model_admin import ReadOnlyAdmin


def _count(sample: HourlySample, figure: str) -> int:
    return int(sample.figures.get(figure, 0))


@admin.register(MetricValue)
class MetricValueAdmin(ReadOnlyAdmin):
    list_display = ["name", "labels", "value"]
    list_filter = ["name"]
    search_fields = ["name", "labels"]


@admin.register(HourlySample)
class HourlySampleAdmin(ReadOnlyAdmin):
    list_display = ["hour", "received", "sent", "delivered", "failed", "is_whole", "since", "until"]

    @admin.display(description=_("texts in"))
    def received(self, sample: HourlySample) -> int:
        return _count(sample, RECEIVED)

    @admin.display(description=_("texts out"))
    def sent(self, sample: HourlySample) -> int:
        return _count(sample, SENT)

    @admin.display(description=_("delivered"))
    def delivered(self, sample: HourlySample) -> int:
        return _count(sample, DELIVERED)

    @admin.display(description=_("not delivered"))
    def failed(self, sample: HourlySample) -> int:
        return _count(sample, FAILED)

    @admin.display(description=_("whole hour"), boolean=True)
    def is_whole(self, sample: HourlySample) -> bool:
        return sample.is_complete


@admin.register(DailySpend)
class DailySpendAdmin(ReadOnlyAdmin):
    list_display = ["day", "euros"]
