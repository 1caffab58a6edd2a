"""The types of events, and what each means. Their names are part of the API.

docs/events.md and the OpenAPI schema show the labels. conversations/api/event_types.py has the data of each type.
"""

from django.db import models


class EventType(models.TextChoices):
    MESSAGE_RECEIVED = "message.received", "a text of a participant is stored"
    MESSAGE_RELAYED = "message.relayed", "a participant's text is queued for others"
    MESSAGE_HELD = "message.held", "the conversation of a text is on hold: nobody receives it"
    MESSAGE_SENT = "message.sent", "the carrier accepted a message for one recipient"
    MESSAGE_DELIVERED = "message.delivered", "a message reached the phone of one recipient, by the carrier's receipts"
    MESSAGE_UNDELIVERED = "message.undelivered", "the carrier accepted a message and could not deliver it"
    MESSAGE_FAILED = "message.failed", "a message was refused permanently, or became too old to send"
    MESSAGE_UNKNOWN = "message.unknown", "a message was perhaps sent: the carrier did not answer"
    MESSAGE_CANCELLED = (
        "message.cancelled",
        "a message is not sent: the recipient opted out, is blocked or was removed, or staff decided so",
    )

    CONVERSATION_CREATED = "conversation.created", "a conversation exists, and its people have numbers"
    CONVERSATION_CLOSED = "conversation.closed", "you or staff closed a conversation"
    CONVERSATION_EXPIRED = "conversation.expired", "a conversation ended by its `ttl` or `expires_at`"
    CONVERSATION_IDLE = "conversation.idle", "a conversation ended because nobody wrote for its `idle_ttl`"
    CONVERSATION_REOPENED = "conversation.reopened", "a conversation goes on"
    CONVERSATION_HELD = "conversation.held", "a conversation is on hold: its texts are stored and not passed on"
    CONVERSATION_RELEASED = "conversation.released", "the texts of a conversation are passed on again"
    CONVERSATION_CHANGED = "conversation.changed", "the end or other terms of a conversation changed"

    PARTICIPANT_ADDED = "participant.added", "a person joined an open conversation"
    PARTICIPANT_REMOVED = "participant.removed", "a person is no longer in a conversation"
    PARTICIPANT_CHANGED = "participant.changed", "a participant has another phone, label or direction"
    PARTICIPANT_OPTED_OUT = "participant.opted_out", "a person gets no messages from any of our numbers"
    PARTICIPANT_OPTED_IN = "participant.opted_in", "a person gets messages again"
    PARTICIPANT_PROXY_NUMBER_CHANGED = (
        "participant.proxy_number_changed",
        "another virtual number replaced a participant's",
    )

    INBOUND_UNMATCHED = "inbound.unmatched", "a text came to a virtual number, and no conversation explains it"

    NUMBER_ORDERED = "number.ordered", "a virtual number is being bought"
    NUMBER_CONFIGURING = "number.configuring", "a virtual number is rented, and its texts do not reach us yet"
    NUMBER_ACTIVE = "number.active", "new conversations may get a virtual number"
    NUMBER_QUARANTINED = "number.quarantined", "a virtual number is at fault, and new conversations do not get it"
    NUMBER_DRAINING = "number.draining", "a virtual number serves its conversations, and gets no new ones"
    NUMBER_RETIRED = "number.retired", "a virtual number is out of service"

    TROUBLE_BEGAN = "trouble.began", "the operator must see to something"
    TROUBLE_ENDED = "trouble.ended", "a trouble is over"

    @property
    def needs_numbers(self) -> bool:
        """Whether only keys with the scope `numbers` get it."""
        return self.startswith(("number.", "trouble."))
