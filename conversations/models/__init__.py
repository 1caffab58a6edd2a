"""Conversations and their participants; inbound and outbound messages; what the carrier said of them; the workers."""

from conversations.models.text_erasure import TextErasure

from . import opt_out_feed  # noqa: F401 - its receiver
from .api_message import ApiMessage
from .block import Block
from .conversation import Conversation, ConversationEvent
from .conversation_note import ConversationNote
from .conversation_state import ConversationState, LateMessagePolicy
from .daily_spend import DailySpend
from .host_clock import HostClock
from .hourly_sample import HourlySample
from .inbound import InboundMessage, InboundOutcome, LongMessage
from .inbox_item import InboxItem, InboxKind, InboxOutcome
from .job_lease import JobLease
from .limit_usage import LimitScope, LimitUsage
from .message_event import MessageEvent
from .outbound import OutboundMessage, OutboundPart
from .outbound_counts import FailureReason
from .outbound_state import MessageKind, OutboundState
from .pace import AccountEvent, AccountRateLimit, AccountState, NumberRateLimit
from .participant import Participant
from .receipt import DeliveryReceipt
from .record_search import RecordSearch
from .rejected_webhook import RejectedWebhook
from .retention_mark import RetentionMark
from .site_certificate import SiteCertificate
from .trouble_episode import TroubleEpisode
from .unreadable_row import UnreadableRow
from .webhook_watch import WebhookWatch
from .worker import Worker

__all__ = [
    "AccountEvent",
    "AccountRateLimit",
    "AccountState",
    "ApiMessage",
    "Block",
    "Conversation",
    "ConversationEvent",
    "ConversationNote",
    "ConversationState",
    "DailySpend",
    "DeliveryReceipt",
    "FailureReason",
    "HostClock",
    "HourlySample",
    "InboundMessage",
    "InboundOutcome",
    "InboxItem",
    "InboxKind",
    "InboxOutcome",
    "JobLease",
    "LateMessagePolicy",
    "LimitScope",
    "LimitUsage",
    "LongMessage",
    "MessageEvent",
    "MessageKind",
    "NumberRateLimit",
    "OutboundMessage",
    "OutboundPart",
    "OutboundState",
    "Participant",
    "RecordSearch",
    "RejectedWebhook",
    "RetentionMark",
    "SiteCertificate",
    "TextErasure",
    "TroubleEpisode",
    "UnreadableRow",
    "WebhookWatch",
    "Worker",
]
