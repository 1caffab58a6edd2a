"""The changes of the state of outbound messages."""

from django.db import models

from smsproxy.states import Event

from .outbound import OutboundMessage


class MessageEvent(Event):
    message = models.ForeignKey(OutboundMessage, models.CASCADE, related_name="events")

    class Meta:
        ordering = ["-id"]
