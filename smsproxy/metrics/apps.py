from django.apps import AppConfig


class MetricsConfig(AppConfig):
    name = "smsproxy.metrics"
    label = "metrics"
    verbose_name = "Metrics"
