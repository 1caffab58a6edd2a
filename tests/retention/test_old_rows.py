"""Rows are deleted after their retention time, with all that belongs to them, and never while something needs them."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.sessions.models import Session
from django.utils import timezone

from conversations.delivery import outbox
from conversations.delivery.receipts import receive_receipt
from conversations.delivery.relay import Relay
from conversations.intake import long_messages, receive
from conversations.models import (
    Block,
    Conversation,
    ConversationEvent,
    DeliveryReceipt,
    InboundMessage,
    LongMessage,
    MessageEvent,
    OutboundMessage,
    OutboundPart,
    Participant,
    RejectedWebhook,
)
from conversations.retention import delete_rows
from conversations.retention.delete_rows import OldRows
from conversations.retention.rules import BOUNDED, RULES
from conversations.worker.periodic_jobs import JOBS, run_jobs
from numbers.models import NumberEvent, RealNumber, Shortage
from smsproxy.carriers.base import InboundText, Receipt, ReceiptStatus
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, replace_number_of, talk
from tests.support.outbox import later

DAY = 24 * 3600
URL = "/api/v1/conversations/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _a_year_and_a_quarter(settings):
    settings.MESSAGE_RETENTION_SECONDS = 365 * DAY
    settings.EVENT_RETENTION_SECONDS = 90 * DAY


@pytest.fixture
def conversation(db):
    add_numbers(3)
    return talk(ALICE, BOB)


@pytest.fixture
def says(conversation, carrier):
    """Receive a text of Alice's to Bob and relay it. Return its message to Bob."""

    def says(id, **fields):
        inbound = {"carrier_message_id": id, "sender": ALICE, "recipient": proxies(conversation)[0], "text": "hello"}
        receive.receive(InboundText(**inbound | fields))
        Relay().send_due()
        return OutboundMessage.objects.order_by("pk").last()

    return says


def arrives(message, status=ReceiptStatus.DELIVERED):
    part = message.parts.get()
    receive_receipt(
        Receipt(
            carrier_message_id=part.carrier_message_id,
            client_ref=message.carrier_ref,
            status=status,
            error_code="",
            network="23410",
        )
    )


def pass_over():
    """Run passes until the tables have been walked to their end, and return the number of rows deleted."""
    job, total = OldRows(), 0
    while count := job():
        total += count
    return total


def walk_again(time_machine):
    """Let the walks begin again at the first row, as they do once a day."""
    later(time_machine, DAY + 1)
    pass_over()
    return pass_over()


def counts(*models):
    return [model.objects.count() for model in models]


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


def test_an_open_conversation_goes_on_after_its_messages_are_gone(says, conversation, time_machine, carrier, api):
    says("one")
    later(time_machine, 400 * DAY)
    pass_over()
    assert counts(InboundMessage, OutboundMessage) == [0, 0]

    says("two")

    assert [text.recipient for text in carrier.sent] == [BOB, BOB]
    assert counts(Conversation, Participant, RealNumber) == [1, 2, 2]


def test_an_ended_conversation_goes_with_its_people_after_its_messages(says, conversation, time_machine, api):
    says("one")
    conversation.close()
    later(time_machine, 8 * DAY)
    run_jobs()
    assert not Participant.objects.unreleased().exists()

    later(time_machine, 357 * DAY)
    walk_again(time_machine)
    # It ended a year ago. Its numbers were released seven days later.
    assert counts(Conversation, Participant, RealNumber) == [1, 2, 2]

    later(time_machine, 7 * DAY)
    walk_again(time_machine)
    walk_again(time_machine)
    assert counts(Conversation, Participant, ConversationEvent, RealNumber) == [0, 0, 0, 0]
    assert api.get(f"{URL}{conversation.public_id}/").status_code == 404


def test_a_conversation_whose_number_was_replaced_goes_too(conversation, time_machine):
    replace_number_of(members(conversation)[0])
    conversation.close()
    later(time_machine, 8 * DAY)
    run_jobs()
    OutboundMessage.objects.update(state="sent")
    later(time_machine, 367 * DAY)
    pass_over()

    walk_again(time_machine)

    assert counts(Conversation, Participant, OutboundMessage) == [0, 0, 0]


def test_a_conversation_that_is_not_released_yet_stays(conversation, time_machine):
    conversation.close()
    Participant.objects.update(release_at=timezone.now() + timedelta(days=1000))
    later(time_machine, 800 * DAY)

    walk_again(time_machine)

    assert counts(Conversation, Participant) == [1, 2]


def test_a_conversation_with_an_unsettled_message_stays(conversation, time_machine):
    message = outbox.queue_notice(members(conversation)[1], "hello")
    OutboundMessage.objects.filter(pk=message.pk).update(state="unknown")
    conversation.close()
    later(time_machine, 8 * DAY)
    run_jobs()
    later(time_machine, 800 * DAY)

    walk_again(time_machine)

    assert counts(Conversation, Participant, OutboundMessage) == [1, 2, 1]


def test_a_person_who_opted_out_or_is_blocked_stays_and_others_are_forgotten(time_machine):
    people = RealNumber.objects.add([ALICE, BOB, CHARLIE, STRANGER])
    people[ALICE].opt_out(reason="texted STOP")
    Block.objects.create(person=people[BOB], other=people[CHARLIE], reason="spam", created_by="staff")
    later(time_machine, 366 * DAY)

    pass_over()

    assert set(RealNumber.objects.all()) == {people[ALICE], people[BOB], people[CHARLIE]}
    assert people[ALICE].events.count() == 1
    assert Block.objects.count() == 1


def test_a_person_in_a_conversation_stays_however_old(conversation, time_machine):
    later(time_machine, 3000 * DAY)

    walk_again(time_machine)

    assert counts(RealNumber, Participant) == [2, 2]


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


def test_the_last_event_of_each_state_of_a_number_stays(time_machine):
    [number] = add_numbers(1)
    for state in ("active", "quarantined", "active", "quarantined"):
        number.record_event(state, reason="for the test")
    later(time_machine, 91 * DAY)

    pass_over()

    assert list(NumberEvent.objects.order_by("pk").values_list("new_state", flat=True)) == ["active", "quarantined"]


def test_counts_of_rejected_webhooks_shortages_and_expired_sessions_go(time_machine):
    RejectedWebhook.objects.add("inbound-sms", "wrong signature", 5)
    Shortage.objects.create(country="GB", eligible_count=1, in_use=1, needed=2, reason="all in use")
    Session.objects.create(session_key="old", session_data="", expire_date=timezone.now())
    later(time_machine, 89 * DAY)
    assert pass_over() == 1
    assert counts(RejectedWebhook, Shortage, Session) == [1, 1, 0]

    later(time_machine, 2 * DAY)
    pass_over()

    assert counts(RejectedWebhook, Shortage) == [0, 0]


def test_each_table_has_a_retention_time_or_a_bound():
    """A new model needs a rule in RULES, or a line in BOUNDED that says what bounds it."""
    ruled = [rule.model._meta.label_lower for rule in RULES]
    known = {*ruled, *BOUNDED}

    assert {model._meta.label_lower for model in apps.get_models()} == known
    assert len(ruled) + len(BOUNDED) == len(known)


def test_rows_that_point_to_deleted_rows_go_with_them_or_keep_them():
    """Each foreign key to a table with a rule is in `with_it`, or its rows are waited for."""
    for rule in RULES:
        for relation in rule.model._meta.related_objects:
            pointing = relation.related_model
            goes = any(model is pointing for model, _ in rule.with_it)
            is_waited_for = pointing._meta.db_table in str(rule.rows.query)
            assert goes or is_waited_for, (rule.table, pointing)


def test_a_pass_deletes_one_batch_of_a_table_and_the_next_goes_on(says, time_machine, monkeypatch):
    monkeypatch.setattr(delete_rows, "BATCH", 2)
    for number in range(5):
        says(f"{number}")
    later(time_machine, 366 * DAY)

    job, left = OldRows(), []
    while job():
        left.append(counts(OutboundMessage, InboundMessage))

    assert left[:3] == [[3, 3], [1, 1], [0, 0]]


def test_a_pass_ends_at_its_time_and_the_next_one_begins_with_the_next_table(says, time_machine):
    arrives(says("one"))
    later(time_machine, 366 * DAY)
    moment = iter(range(1000))
    job = OldRows(clock=lambda: float(next(moment)))

    job()
    assert counts(MessageEvent, DeliveryReceipt, OutboundMessage) == [0, 1, 1]
    job()
    assert counts(MessageEvent, DeliveryReceipt, OutboundMessage) == [0, 0, 1]
    job()
    assert counts(MessageEvent, DeliveryReceipt, OutboundMessage) == [0, 0, 0]


def test_the_workers_run_the_job():
    assert "delete_old_rows" in [job.__name__ for job in JOBS]


def test_a_job_with_nothing_to_do_rests(django_assert_num_queries):
    now = [0.0]
    job = OldRows(clock=lambda: now[0])
    job()

    now[0] = delete_rows.REST - 1
    with django_assert_num_queries(0):
        assert job() == 0


def test_an_old_row_behind_the_walk_is_found_a_day_later(says, time_machine):
    message = says("one")
    OutboundMessage.objects.filter(pk=message.pk).update(state="unknown")
    later(time_machine, 366 * DAY)
    pass_over()
    OutboundMessage.objects.filter(pk=message.pk).update(state="failed")
    pass_over()
    assert OutboundMessage.objects.exists()

    walk_again(time_machine)

    assert not OutboundMessage.objects.exists()
