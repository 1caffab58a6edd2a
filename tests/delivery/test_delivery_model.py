"""Delivery against a model of its rules: any interleaving of workers, carrier answers, receipts, staff and time."""

from collections import Counter

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, talk
from tests.support.delivery_model import (
    ACCOUNT_RATE,
    MAX_AGE,
    NUMBER_RATE,
    SEND_LEASE_SECONDS,
    UNKNOWN_OUTCOME_TIMEOUT_SECONDS,
    Delivery,
)
from tests.support.hypothesis_profiles import model_examples

STEPS = 30


@pytest.mark.django_db
def test_each_message_is_sent_once_in_order_within_its_rate_and_none_gets_stuck(carrier, settings):
    settings.NUMBER_SEGMENTS_PER_SECOND = {"*": NUMBER_RATE}
    settings.CARRIER_REQUESTS_PER_SECOND = ACCOUNT_RATE
    settings.MESSAGE_MAX_AGE_SECONDS, settings.SEND_LEASE_SECONDS, settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS = (
        MAX_AGE,
        SEND_LEASE_SECONDS,
        UNKNOWN_OUTCOME_TIMEOUT_SECONDS,
    )
    # Two numbers, each with two lines.
    add_numbers(2)
    people = [person for other in (BOB, CHARLIE) for person in members(talk(ALICE, other))]
    assert Counter(person.proxy_number_id for person in people).most_common(1)[0][1] == 2

    class TheDelivery(Delivery):
        pass

    TheDelivery.people, TheDelivery.carrier, TheDelivery.settings = people, carrier, settings
    run_state_machine_as_test(
        TheDelivery,
        settings=hypothesis_settings(model_examples(fast=5, thorough=25), stateful_step_count=STEPS),
    )
