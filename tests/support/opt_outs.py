"""Helpers of the tests of opt-outs: the texts of the answers, and what is stored of one person."""

from conversations.models import (
    OutboundMessage,
)
from numbers.models import RealNumber

# The default of KEYWORD_ANSWERS_PER_PERSON_HOUR.
MAX_ANSWERS = 5

INBOUND = "/webhooks/vonage/inbound-sms"
RECEIPTS = "/webhooks/vonage/delivery-receipt"
STOPPED = "Ride Ltd: you will get no more messages from our numbers. Text START to get them again."
STARTED = "Ride Ltd: you get messages again. Text STOP to end them."
HELP = "Ride Ltd passes on messages between people. Help: help@ride.example. Text STOP to end messages."
NOT_RECEIVING = "Bob is not receiving messages at the moment."


def person(number):
    return RealNumber.objects.with_number(number).get()


def has_opted_out(number):
    return person(number).opted_out_at is not None


def messages_to(number, **fields):
    """Return the texts queued for this person, in order, without cancelled ones."""
    found = OutboundMessage.objects.filter(recipient=person(number), **fields).exclude(state="cancelled")
    return [message.text for message in found.order_by("pk")]


def sent_to(carrier, number):
    return [message.text for message in carrier.sent if message.recipient == number]


def proxy_of(participant):
    return participant.proxy_number.number
