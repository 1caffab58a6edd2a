"""The table behind the counters and histograms of /metrics."""

from django.db import models


class MetricValue(models.Model):
    """The value of one series, counted by all processes together. flush.py adds to it.

    The table is as large as the label values of families.py allow, whatever the traffic.
    """

    name = models.CharField(max_length=100, help_text="The name, as in /metrics.")
    labels = models.CharField(max_length=200, blank=True, help_text="Labels and values, such as endpoint=inbound-sms.")
    value = models.FloatField(default=0, help_text="A count, or a sum of seconds.")

    class Meta:
        ordering = ["name", "labels"]
        constraints = [models.UniqueConstraint(fields=["name", "labels"], name="one_value_per_series")]

    def __str__(self) -> str:
        return f"{self.name} {self.labels}".strip()
