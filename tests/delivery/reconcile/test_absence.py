"""A message that is missing in the carrier's records is searched for three times. Then staff see it marked."""

import pytest
from django.urls import reverse

from conversations.delivery.receipts import receive_receipt
from conversations.delivery.reconcile import reconcile
from conversations.delivery.relay import Relay
from conversations.insight.collect_status import collect_status
from conversations.insight.troubles.current import find
from conversations.insight.troubles.kinds import Trouble
from conversations.models import OutboundMessage
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.carriers.base import Receipt, ReceiptStatus, TemporaryFailure
from tests.support.outbox import later, queue, sent_texts, state_of
from tests.support.searches import MINUTE, lose_answer, page, record_of, search_after

pytestmark = pytest.mark.django_db

NOT_SEEN = "not seen by the carrier"
MARKED = f'<td class="field-carrier_records">{NOT_SEEN}</td>'


def test_it_is_searched_for_5_15_and_60_minutes_after_the_attempt(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)

    searches = []
    for minute in range(1, 90):
        search_after(time_machine, 1)
        if len(carrier.searched) > len(searches):
            searches.append(minute)

    assert searches == [5, 15, 60]
    message.refresh_from_db()
    assert message.is_not_seen
    assert [event.reason for event in message.events.all()[:2]] == [NOT_SEEN, "read timeout"]


def test_a_record_that_appears_late_is_found_by_a_later_search(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)
    search_after(time_machine, 5)
    carrier.pages_of_records = [page(record_of(message))]

    search_after(time_machine, 10)

    assert state_of(message) == "delivered"


def test_one_search_is_enough_for_an_old_attempt(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)

    search_after(time_machine, 3 * 60)
    search_after(time_machine, 60)

    message.refresh_from_db()
    assert message.is_not_seen
    assert len(carrier.searched) == 1


def test_an_attempt_of_days_ago_is_not_searched_for(bob, carrier, time_machine):
    lose_answer(bob, carrier)

    search_after(time_machine, 25 * 60)

    assert carrier.searched == []


def test_absence_never_sends_again_and_a_later_receipt_still_settles(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)
    for _ in range(5):
        search_after(time_machine, 30)
        run_jobs()
        Relay().send_due()
    assert state_of(message) == "unknown"
    assert len(carrier.sent) == 1

    receive_receipt(Receipt(carrier_message_id="a", client_ref=message.carrier_ref, status=ReceiptStatus.DELIVERED))

    message.refresh_from_db()
    assert message.state == "delivered"
    assert not message.is_not_seen


def test_staff_decide_only_after_the_last_search(bob, carrier, time_machine, settings):
    lose_answer(bob, carrier)
    search_after(time_machine, 5)
    assert collect_status().texts.undecided == 0

    for _ in range(2):
        search_after(time_machine, 30)

    status = collect_status()
    assert (status.texts.undecided, status.texts.not_seen) == (1, 1)
    assert "Not seen by the carrier: 1." in find(status)[Trouble.UNDECIDED]


def test_staff_decide_in_the_end_even_if_no_search_succeeds(bob, carrier, time_machine):
    lose_answer(bob, carrier)
    carrier.pages_of_records = [TemporaryFailure("the carrier's server failed")] * 100
    for _ in range(70):
        search_after(time_machine, 1)
    assert collect_status().texts.undecided == 0

    search_after(time_machine, 10)

    status = collect_status()
    # Nobody has searched for it, so nobody can say that it was not seen.
    assert (status.texts.undecided, status.texts.not_seen) == (1, 0)
    assert NOT_SEEN not in find(status)[Trouble.UNDECIDED].lower()


def test_a_message_that_became_unknown_before_the_update_is_left_to_staff(bob, carrier, time_machine):
    lose_answer(bob, carrier)
    OutboundMessage.objects.update(attempted_at=None, attempt_ended_at=None)

    search_after(time_machine, 6)

    assert carrier.searched == []
    assert collect_status().texts.undecided == 1


def test_later_messages_do_not_wait_for_the_search(bob, carrier, time_machine, settings):
    lose_answer(bob, carrier, "first")
    queue(bob, "second")

    later(time_machine, settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS + 1)
    Relay().send_due()

    assert sent_texts(carrier) == ["first", "second"]


def test_without_reconcile_nothing_is_searched_and_staff_decide_as_before(bob, carrier, time_machine, settings):
    settings.RECONCILE = "off"
    lose_answer(bob, carrier)

    search_after(time_machine, 6)

    assert carrier.searched == []
    assert collect_status().texts.undecided == 1


def test_switching_reconcile_on_finds_what_is_already_unknown(bob, carrier, time_machine, settings):
    settings.RECONCILE = "off"
    message = lose_answer(bob, carrier)
    later(time_machine, 6 * MINUTE)
    settings.RECONCILE = "reports"
    carrier.pages_of_records = [page(record_of(message))]

    reconcile()

    assert state_of(message) == "delivered"


class TestWithResend:
    @pytest.fixture(autouse=True)
    def _resend(self, settings):
        settings.UNKNOWN_OUTCOME_POLICY = "resend"

    def pass_time(self, time_machine, minutes):
        for _ in range(minutes):
            search_after(time_machine, 1)
            run_jobs()
            Relay().send_due()

    def test_what_the_first_search_finds_is_not_sent_again(self, bob, carrier, time_machine):
        message = lose_answer(bob, carrier, "first")
        queue(bob, "second")
        carrier.pages_of_records = [page(record_of(message))]

        self.pass_time(time_machine, 10)

        assert sent_texts(carrier) == ["first", "second"]
        assert state_of(message) == "delivered"

    def test_what_the_first_search_does_not_find_is_sent_again_in_order(self, bob, carrier, time_machine):
        message = lose_answer(bob, carrier, "first")
        queue(bob, "second")

        self.pass_time(time_machine, 4)
        assert (len(carrier.searched), sent_texts(carrier)) == (0, ["first"])
        self.pass_time(time_machine, 6)

        assert sent_texts(carrier) == ["first", "first", "second"]
        assert (state_of(message), len(carrier.searched)) == ("sent", 1)

    def test_a_search_that_fails_does_not_stop_the_resend(self, bob, carrier, time_machine):
        lose_answer(bob, carrier, "first")
        carrier.pages_of_records = [TemporaryFailure("the carrier's server failed")] * 100

        self.pass_time(time_machine, 10)

        assert sent_texts(carrier) == ["first", "first"]


class TestTheAdmin:
    @pytest.fixture
    def not_seen(self, bob, carrier, time_machine):
        message = lose_answer(bob, carrier)
        search_after(time_machine, 61)
        return message

    def test_the_list_marks_it_and_the_filter_finds_it(self, not_seen, bob, carrier, admin_client):
        other = lose_answer(bob, carrier, "other")
        address = reverse("admin:conversations_outboundmessage_changelist")

        every, filtered = (
            admin_client.get(address, query).content.decode() for query in ({}, {"carrier_records": "not_seen"})
        )

        def row(page, message):
            return reverse("admin:conversations_outboundmessage_change", args=[message.pk]) in page

        assert every.count(MARKED) == 1
        assert row(every, not_seen)
        assert row(every, other)
        assert row(filtered, not_seen)
        assert not row(filtered, other)

    def test_its_page_says_so_and_staff_can_still_send_it_again(self, not_seen, admin_client, carrier):
        address = reverse("admin:conversations_outboundmessage_change", args=[not_seen.pk])
        assert admin_client.get(address).content.decode().count(NOT_SEEN) >= 2  # The field, and the event.

        changelist = reverse("admin:conversations_outboundmessage_changelist")
        why = "the carrier has no record of it"
        admin_client.post(changelist, {"action": "resend", "_selected_action": [not_seen.pk], "reason": why})
        Relay().send_due()

        assert state_of(not_seen) == "sent"
        assert MARKED not in admin_client.get(changelist).content.decode()

    def test_the_state_of_the_search_has_a_page(self, not_seen, admin_client):
        page = admin_client.get(reverse("admin:conversations_recordsearch_changelist")).content.decode()

        assert "no error" in page
