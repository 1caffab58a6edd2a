"""The counters and histograms of /metrics, as they are stored."""

from django.contrib import admin

from smsproxy.metrics.models import MetricValue
from smsproxy.staff.model_admin import ReadOnlyAdmin


@admin.register(MetricValue)
class MetricValueAdmin(ReadOnlyAdmin):
    list_display = ["name", "labels", "value"]
    list_filter = ["name"]
    search_fields = ["name", "labels"]
