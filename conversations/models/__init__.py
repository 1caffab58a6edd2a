"""Conversations and their participants; inbound and outbound messages; what the carrier said of them."""

from .conversation import Conversation, ConversationEvent, ConversationState, Participant
from .inbound import InboundMessage, Outcome, RejectedWebhook
from .outbound import Kind, MessageEvent, OutboundMessage, OutboundPart, OutboundState
from .receipt import DeliveryReceipt

__all__ = [
    "Conversation",
    "ConversationEvent",
    "ConversationState",
    "DeliveryReceipt",
    "InboundMessage",
    "Kind",
    "MessageEvent",
    "OutboundMessage",
    "OutboundPart",
    "OutboundState",
    "Outcome",
    "Participant",
    "RejectedWebhook",
]
