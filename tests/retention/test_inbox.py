"""What staff did in the inbox is kept as long as what it is about, and no longer."""

import pytest

from conversations.intake import settle
from conversations.models import Conversation, InboundMessage, InboxItem, OutboundMessage
from tests.support.builders import STRANGER
from tests.support.inbox import free_number, lost_text, perhaps_sent
from tests.support.outbox import later
from tests.support.retention import DAY, counts, pass_over, walk_again

pytestmark = pytest.mark.django_db


def test_an_item_goes_with_its_text(conversation, time_machine):
    text = lost_text(STRANGER, free_number(conversation))
    settle.dismiss(text, last=text.pk, actor="sam")
    OutboundMessage.objects.all().delete()
    later(time_machine, 365 * DAY + 1)

    pass_over()

    assert counts(InboundMessage, InboxItem) == [0, 0]


def test_an_item_goes_with_its_message_and_its_conversation(conversation, time_machine):
    unknown = perhaps_sent(conversation)
    InboxItem.objects.take(unknown, since=unknown.due_at, actor="sam")
    unknown.cancel(reason="staff: do not send", actor="sam")
    conversation.hold(reason="a loop", actor="")
    InboxItem.objects.take(conversation, since=conversation.held_at, actor="sam")
    conversation.close()
    conversation.participants.update(released_at=conversation.closed_at)
    later(time_machine, 370 * DAY)

    pass_over()
    walk_again(time_machine)

    assert counts(Conversation, OutboundMessage, InboxItem) == [0, 0, 0]
