"""Events of the feed: one row for each change that an integrator is told of."""

from typing import ClassVar

from django.db import models

from smsproxy.database.clock import database_now


class FeedEvent(models.Model):
    """An event of the feed. Rows of other tables are named by their id, without a foreign key.

    A foreign key would cost each text a check, and events are deleted earlier than what they are about.
    """

    type = models.CharField(max_length=40)
    service_id = models.BigIntegerField(
        null=True, blank=True, help_text="The service that reads it. Empty: keys with the scope `numbers` of every one."
    )
    conversation_id = models.BigIntegerField(null=True, blank=True)
    inbound_id = models.BigIntegerField(null=True, blank=True, help_text="The inbound message.")
    outbound_id = models.BigIntegerField(null=True, blank=True, help_text="The outbound message.")
    participant = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="The position of the participant in the conversation."
    )
    data = models.JSONField(
        default=dict,
        blank=True,
        db_default=models.Value({}, output_field=models.JSONField()),
        help_text="Further values of this type of event, without real numbers or texts.",
    )
    created_at = models.DateTimeField(default=database_now)

    class Meta:
        verbose_name = "event"
        ordering = ["id"]
        indexes: ClassVar = [models.Index("service_id", "id", name="event_of_service")]

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"
