"""Helpers that queue messages, send them, read their states and move the clock."""

from datetime import timedelta

from django.utils import timezone

from conversations.delivery import outbox
from conversations.delivery.relay import Relay
from conversations.models import OutboundMessage


def queue(to, *texts):
    return [outbox.queue_notice(to, text) for text in texts]


def work():
    """Send everything that is due, one message after another, without waiting."""
    worker = Relay()
    while messages := worker._claim(1)[0]:
        worker._send(messages[0])
        worker._record_results()


def state_of(message):
    message.refresh_from_db()
    return message.state


def sent_texts(carrier):
    """Return the texts that the scripted carrier got, in order."""
    return [text.text for text in carrier.sent]


def notices():
    """Return the texts of our own notices, in the order in which they were queued."""
    return [
        notice.text for notice in OutboundMessage.objects.filter(kind__in=["notice", "confirmation"]).order_by("pk")
    ]


def history(message):
    return [event.new_state for event in message.events.order_by("id")]


def later(time_machine, seconds):
    time_machine.move_to(timezone.now() + timedelta(seconds=seconds), tick=True)
