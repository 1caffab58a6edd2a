"""Each table has a retention time or a bound."""

import pytest
from django.apps import apps
from django.contrib.sessions.models import Session
from django.utils import timezone

from conversations.models import (
    RejectedWebhook,
)
from conversations.retention.rules import BOUNDED, RULES
from numbers.models import NumberEvent, Shortage
from tests.support.builders import add_numbers
from tests.support.outbox import later
from tests.support.retention import DAY, counts, pass_over

pytestmark = pytest.mark.django_db


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
