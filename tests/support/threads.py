"""A conversation with every kind of line in its thread, for tests of its page."""

from conversations.delivery.outbox import queue_notice
from conversations.delivery.relay import Relay
from conversations.models import Conversation, ConversationNote, MessageKind, OutboundMessage
from conversations.trust.blocks import block_person
from smsproxy.carriers.base import OutcomeUnknown, PermanentFailure
from tests.support.builders import ALICE, BOB, add_numbers, members, proxies, talk
from tests.support.message_api import report, write

HELLO, LATE, LOST = "I am at the blue door", "I shall be ten minutes late", "Please wait for me"


def busy_thread(carrier, **options) -> Conversation:
    """Return the conversation: texts delivered, undelivered, refused, of unknown outcome, sent, queued and stopped."""
    add_numbers(6)
    conversation = talk(ALICE, BOB, **{"reference": "order-17", "ttl": 86400, "notify": True, **options})
    to_bob, to_alice = proxies(conversation)
    Relay().send_due()
    write(ALICE, to_bob, HELLO)
    Relay().send_due()
    report(last_relay())
    write(BOB, to_alice, LATE)
    Relay().send_due()
    report(last_relay(), "failed", "2")
    carrier.script = [PermanentFailure("barred", code="9")]
    write(BOB, to_alice, "Hello?")
    Relay().send_due()
    carrier.script = [OutcomeUnknown("read timeout")]
    write(ALICE, to_bob, LOST)
    Relay().send_due()
    write(BOB, to_alice, "Are you there? " * 20)
    Relay().send_due()
    conversation.hold(reason="ticket 4711: they quarrel", actor="sam")
    write(ALICE, to_bob, "A text during the hold")
    conversation.release_hold(reason="they made peace", actor="tina")
    ConversationNote.objects.create(conversation=conversation, text="Alice called us twice.", author="sam")
    queue_notice(members(conversation)[0], "A notice of ours")
    write(BOB, to_alice, "Waits in the queue")
    block = block_person(members(conversation)[1].real_number, reason="threats", actor="tina")
    write(BOB, to_alice, "A text of a blocked person")
    block.end(reason="a mistake", actor="tina")
    conversation.refresh_from_db()
    return conversation


def last_relay() -> OutboundMessage:
    return OutboundMessage.objects.filter(kind=MessageKind.RELAY).latest("pk")
