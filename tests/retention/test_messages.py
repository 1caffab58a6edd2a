"""Messages go after their retention time with all that belongs to them, and never while something needs them."""

import pytest

from conversations.intake import long_messages
from conversations.models import (
    Conversation,
    DeliveryReceipt,
    InboundMessage,
    LongMessage,
    MessageEvent,
    OutboundMessage,
    OutboundPart,
)
from smsproxy.carriers.base import InboundText, ReceiptStatus
from tests.support.builders import ALICE, proxies
from tests.support.outbox import later
from tests.support.retention import DAY, arrives, counts, pass_over, walk_again

pytestmark = pytest.mark.django_db


def test_an_old_message_goes_with_its_parts_receipts_and_events(says, time_machine):
    arrives(says("old"))
    later(time_machine, 365 * DAY + 1)
    arrives(says("new"))

    pass_over()

    assert counts(InboundMessage, OutboundMessage, OutboundPart, DeliveryReceipt) == [1, 1, 1, 1]
    assert InboundMessage.objects.get().carrier_message_id == "new"
    assert set(MessageEvent.objects.values_list("message", flat=True)) == {OutboundMessage.objects.get().pk}


def test_a_message_is_kept_until_its_retention_time(says, time_machine):
    says("one")
    later(time_machine, 365 * DAY - 60)

    pass_over()

    assert counts(InboundMessage, OutboundMessage, OutboundPart) == [1, 1, 1]


def test_events_and_receipts_go_first_and_the_message_keeps_its_outcome(says, time_machine):
    message = says("one")
    arrives(message)
    later(time_machine, 90 * DAY + 1)

    pass_over()

    assert counts(MessageEvent, DeliveryReceipt) == [0, 0]
    message.refresh_from_db()
    assert (message.state, message.parts.get().status) == ("delivered", "delivered")


def test_nothing_is_deleted_without_retention_times(says, time_machine, settings):
    settings.MESSAGE_RETENTION_SECONDS = settings.EVENT_RETENTION_SECONDS = 0
    says("one")
    later(time_machine, 3000 * DAY)

    pass_over()

    assert counts(InboundMessage, OutboundMessage, OutboundPart) == [1, 1, 1]
    assert MessageEvent.objects.count() == 3


@pytest.mark.parametrize("state", ["queued", "sending", "unknown"])
def test_an_unsettled_message_stays_with_its_history_until_it_is_settled(says, time_machine, state):
    first, unsettled, _ = says("first"), says("unsettled"), says("last")
    arrives(unsettled, ReceiptStatus.ACCEPTED)
    OutboundMessage.objects.filter(pk=unsettled.pk).update(state=state)
    later(time_machine, 366 * DAY)

    pass_over()

    assert OutboundMessage.objects.get() == unsettled != first
    assert InboundMessage.objects.get() == unsettled.inbound
    assert (unsettled.events.count(), unsettled.parts.count(), unsettled.receipts.count()) == (3, 1, 1)

    OutboundMessage.objects.filter(pk=unsettled.pk).update(state="failed")
    walk_again(time_machine)
    assert counts(OutboundMessage, InboundMessage, MessageEvent, OutboundPart, DeliveryReceipt) == [0, 0, 0, 0, 0]


def test_with_traffic_at_all_hours_a_message_that_stayed_goes_once_it_is_settled(says, time_machine):
    unsettled = says("unsettled")
    OutboundMessage.objects.filter(pk=unsettled.pk).update(state="unknown")
    for id in ("after a day", "after two days"):
        later(time_machine, DAY + 1)
        says(id)
    later(time_machine, 363 * DAY)
    pass_over()
    OutboundMessage.objects.filter(pk=unsettled.pk).update(state="failed")

    for _ in range(2):  # Each finds a row that has just grown old.
        later(time_machine, DAY + 1)
        pass_over()

    assert counts(OutboundMessage, InboundMessage) == [0, 0]


def test_a_webhook_repeated_within_its_time_is_recognised(says, time_machine, settings, carrier):
    settings.MESSAGE_RETENTION_SECONDS = settings.EVENT_RETENTION_SECONDS = 5 * DAY
    says("one")
    later(time_machine, settings.WEBHOOK_MAX_AGE_SECONDS)
    pass_over()

    says("one")

    assert counts(InboundMessage, OutboundMessage) == [1, 1]
    assert len(carrier.sent) == 1


def test_a_long_message_goes_after_its_parts(says, time_machine):
    for part in (1, 2):
        long_messages.take_in(
            InboundText(
                carrier_message_id=f"p{part}",
                sender=ALICE,
                recipient=proxies(Conversation.objects.get())[0],
                text="half",
                concat_ref="7",
                part=part,
                parts=2,
            )
        )
    OutboundMessage.objects.update(state="sent")
    assert counts(InboundMessage, LongMessage) == [3, 1]
    later(time_machine, 366 * DAY)

    pass_over()

    assert counts(InboundMessage, LongMessage) == [0, 0]


def test_an_open_long_message_keeps_its_parts(conversation, time_machine):
    long_messages.take_in(
        InboundText(
            carrier_message_id="p1",
            sender=ALICE,
            recipient=proxies(conversation)[0],
            text="half",
            concat_ref="7",
            part=1,
            parts=2,
        )
    )
    later(time_machine, 366 * DAY)

    pass_over()

    assert counts(InboundMessage, LongMessage) == [1, 1]
