"""Conversations and their participants; inbound and outbound messages; what the carrier said of them; the workers."""

from conversations.models.text_erasure import TextErasure

from .conversation import Conversation, ConversationEvent, ConversationState, LateTexts
from .inbound import InboundMessage, LongText, Outcome
from .outbound import Kind, MessageEvent, OutboundMessage, OutboundPart, OutboundState
from .pace import AccountEvent, AccountPace, AccountState, NumberPace
from .participant import Participant
from .receipt import DeliveryReceipt
from .rejected_webhook import RejectedWebhook
from .worker import Worker

__all__ = [
    "AccountEvent",
    "AccountPace",
    "AccountState",
    "Conversation",
    "ConversationEvent",
    "ConversationState",
    "DeliveryReceipt",
    "InboundMessage",
    "Kind",
    "LateTexts",
    "LongText",
    "MessageEvent",
    "NumberPace",
    "OutboundMessage",
    "OutboundPart",
    "OutboundState",
    "Outcome",
    "Participant",
    "RejectedWebhook",
    "TextErasure",
    "Worker",
]
