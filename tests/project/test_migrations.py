"""Migrations of a database of an earlier version, with numbers and conversations."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from conversations.delivery import outbox
from conversations.models import (
    AccountRateLimit,
    Conversation,
    InboundMessage,
    LongMessage,
    NumberRateLimit,
    Participant,
)
from conversations.worker.periodic_jobs import release_cooled_down
from numbers.models import RealNumber, Shortage, TopUp, VirtualNumber
from numbers.usage import recount_live_pairs
from tests.support.builders import ALICE, BOB, CHARLIE, proxies, talk

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE_POOLS = [("numbers", "0002_rate_and_assignment"), ("conversations", "0002_delivery")]
BEFORE_NAMES = [("numbers", "0003_pools"), ("conversations", "0003_pools")]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def before(request):
    """Return the models of an earlier version, in a database of that version. Migrate it to the latest at the end."""
    # One app at a time, the last first: one plan cannot migrate one app forwards and another backwards.
    for target in reversed(getattr(request, "param", BEFORE_POOLS)):
        state = MigrationExecutor(connection).migrate([target])
    yield state.apps
    call_command("migrate", verbosity=0)


def test_a_database_from_before_pools_keeps_its_rentals_and_counts(before, time_machine):
    time_machine.move_to(NOW, tick=False)
    order = before.get_model("numbers", "NumberOrder").objects.create(country="US", count=6)
    states = ["active", "active", "draining", "quarantined", "retired", "ordered"]
    numbers = [
        before.get_model("numbers", "VirtualNumber").objects.create(
            number=f"+1212555010{index}", country="US", area="1212", state=state, order=order
        )
        for index, state in enumerate(states)
    ]
    people = {}
    for number in (ALICE, BOB, CHARLIE):
        row = RealNumber.from_number(number)
        people[number] = before.get_model("numbers", "RealNumber").objects.create(
            number_hash=row.number_hash, number=row.number, country=row.country
        )
    pairs = {
        # Open, cooling down, and released long ago.
        (ALICE, BOB): (None, None),
        (ALICE, CHARLIE): (NOW + timedelta(days=1), None),
        (BOB, CHARLIE): (NOW - timedelta(days=1), NOW - timedelta(days=1)),
    }
    for place, (pair, (release_at, released_at)) in enumerate(pairs.items()):
        conversation = before.get_model("conversations", "Conversation").objects.create(
            state="closed" if release_at else "open", reference=f"order {place}"
        )
        for position, person in enumerate(pair):
            before.get_model("conversations", "Participant").objects.create(
                conversation=conversation,
                position=position,
                real_number=people[person],
                proxy_number=numbers[place],
                release_at=release_at,
                released_at=released_at,
            )

    call_command("migrate", verbosity=0)

    now = VirtualNumber.objects.order_by("number")
    assert list(now.values_list("state", "is_rented", "live_pair_count")) == [
        ("active", True, 2),
        ("active", True, 2),
        ("draining", True, 0),
        ("quarantined", True, 0),
        ("retired", False, 0),
        ("ordered", False, 0),
    ]
    assert {number.region for number in now} == {"New York"}
    assert not [number for number in now if recount_live_pairs(number)]
    Conversation.objects.get(reference="order 0").close()
    again = talk(ALICE, BOB, geography="any")
    assert proxies(again) == ["+12125550100"] * 2
    time_machine.shift(timedelta(days=2))
    assert release_cooled_down() == 2
    assert Participant.objects.unreleased().count() == 2


@pytest.mark.parametrize("before", [BEFORE_NAMES], indirect=True)
def test_a_database_with_the_old_names_keeps_its_data(before):
    number = before.get_model("numbers", "VirtualNumber").objects.create(
        number="+447700900500", country="GB", state="active", is_rented=True, live=2
    )
    row = RealNumber.from_number(ALICE)
    alice = before.get_model("numbers", "RealNumber").objects.create(number_hash=row.number_hash, number=row.number)
    before.get_model("numbers", "TopUp").objects.create(
        country="GB", low_water=1, target=2, monthly_budget=10, max_monthly_cost=2, trouble="the carrier is away"
    )
    before.get_model("numbers", "Shortage").objects.create(able=3, in_use=3, needed=4, reason="none free")
    before.get_model("conversations", "Conversation").objects.create(late_texts="reopen")
    long_text = before.get_model("conversations", "LongText").objects.create(
        sender=alice, virtual_number=number, group="7", parts=2, due_at=NOW
    )
    before.get_model("conversations", "InboundMessage").objects.create(
        carrier_message_id="1", outcome="part", group="7", long_text=long_text, part=1, parts=2
    )
    before.get_model("conversations", "OutboundMessage").objects.create(
        kind="notice", sender=number, recipient=alice, segments=1, once_key="key"
    )
    before.get_model("conversations", "NumberPace").objects.create(number=number, why="busy", last_line=alice.pk)
    before.get_model("conversations", "AccountPace").objects.update_or_create(
        pk=1, defaults={"why": "no money", "last_served": number.pk}
    )

    call_command("migrate", verbosity=0)

    assert VirtualNumber.objects.get().live_pair_count == 2
    assert TopUp.objects.values_list("low_threshold", "last_error").get() == (1, "the carrier is away")
    assert Shortage.objects.get().eligible_count == 3
    assert Conversation.objects.get().late_messages == "reopen"
    assert InboundMessage.objects.get().long_message == LongMessage.objects.get(concat_ref="7")
    assert NumberRateLimit.objects.values_list("pause_reason", "last_recipient_id").get() == ("busy", alice.pk)
    assert AccountRateLimit.objects.values_list("pause_reason", "last_number_id").get() == ("no money", number.pk)
    assert not outbox.queue_notice_once("key", VirtualNumber.objects.get(), RealNumber.objects.get(), "once")


@pytest.mark.parametrize("before", [BEFORE_NAMES], indirect=True)
def test_staff_keep_their_permissions_after_the_renaming(before):
    content_types = before.get_model("contenttypes", "ContentType").objects
    content_types.filter(app_label="conversations").delete()
    content_type = content_types.create(app_label="conversations", model="accountpace")
    may_view = before.get_model("auth", "Permission").objects.create(
        content_type=content_type, codename="view_accountpace", name="Can view account pace"
    )
    before.get_model("auth", "Group").objects.create(name="support").permissions.add(may_view)

    call_command("migrate", verbosity=0)

    [permission] = Group.objects.get().permissions.all()
    assert (permission.codename, permission.name) == ("view_accountratelimit", "Can view account rate limit")
    assert permission.content_type.model == "accountratelimit"
