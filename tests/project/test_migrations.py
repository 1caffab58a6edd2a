"""Migrations of a database of an earlier version, with numbers and conversations."""

from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import count

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from conversations.delivery import outbox
from conversations.insight.explain_route import explain_route
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
from smsproxy.crypto import keyed_hash, number_hash
from smsproxy.states import StaleState
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    number, person = VirtualNumber.objects.get(), RealNumber.objects.get()
    participant = Participant.objects.create(
        conversation=Conversation.objects.get(), position=0, real_number=person, proxy_number=number
    )
    assert not outbox.queue_notice_once("key", number, person, "once", participant=participant)


@pytest.mark.slow
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

    [permission] = Group.objects.get(name="support").permissions.all()
    assert (permission.codename, permission.name) == ("view_accountratelimit", "Can view account rate limit")
    assert permission.content_type.model == "accountratelimit"


BEFORE_HASHES = [("numbers", "0004_names"), ("conversations", "0004_names")]
one_spelling = import_module("numbers.migrations.0006_canonical_numbers")
OLD, NEW = "+5215512345678", "+525512345678"


class Earlier:
    """The rows of a version before phones had one spelling. apps: the models to write them with."""

    def __init__(self, apps):
        self._apps = apps
        self._numbers = count()

    def add(self, model, app="conversations", **fields):
        return self._apps.get_model(app, model).objects.create(**fields)

    def number(self, **fields):
        number = f"+4477009005{next(self._numbers):02}"
        values = {"number": number, "country": "GB", "state": "active", "is_rented": True, "live_pair_count": 1}
        return self.add("VirtualNumber", "numbers", **values | fields)

    def person(self, number):
        return self.add("RealNumber", "numbers", number=number, number_hash=keyed_hash(number), country="MX")

    def talk(self, *pairs, state="open", **fields):
        """Add a conversation of these pairs of a person and a virtual number, cooling down if it is closed."""
        ended = {"closed_at": NOW} if state == "closed" else {}
        conversation = self.add("Conversation", state=state, **ended | fields)
        for position, (person, number) in enumerate(pairs):
            self.add(
                "Participant",
                conversation=conversation,
                position=position,
                real_number=person,
                proxy_number=number,
                release_at=timezone.now() + timedelta(days=1) if ended else None,
            )
        return conversation


@pytest.fixture
def earlier():
    """Write the rows into the present tables, because going back and forth through the migrations takes seconds."""
    return Earlier(apps)


def merge_spellings():
    """Run the migration of real numbers on the present tables."""
    one_spelling.one_row_for_each_phone(apps, connection.schema_editor())


def outcome(sender, to):
    return explain_route(sender, to.number).outcome


@pytest.mark.slow
@pytest.mark.parametrize("before", [BEFORE_HASHES], indirect=True)
def test_a_person_registered_in_the_old_spelling_is_found_in_either(before, capsys):
    earlier = Earlier(before)
    rented = earlier.number(number="+5213312345678", country="MX")
    given_back = earlier.number(number="+523312345678", is_rented=False, state="retired", live_pair_count=0)
    earlier.talk((earlier.person(OLD), rented), (earlier.person(ALICE), earlier.number()))

    call_command("migrate", verbosity=0)

    for spelling in (OLD, NEW):
        assert explain_route(spelling, given_back.number).outcome == "relayed"
        assert RealNumber.objects.by_number([spelling])[spelling].number == OLD
    assert outcome(ALICE, VirtualNumber.objects.get(number__startswith="+4477")) == "relayed"
    assert VirtualNumber.objects.with_number(given_back.number).get().pk == rented.pk
    assert f"Virtual number {given_back.pk} " in capsys.readouterr().out


class TestOneRowForEachPhone:
    def test_two_rows_of_a_phone_become_one_with_all_that_they_had(self, earlier, capsys):
        alice, old, new = map(earlier.person, (ALICE, OLD, NEW))
        numbers = [earlier.number() for _ in range(3)]
        earlier.talk((alice, numbers[0]), (old, numbers[0]))
        earlier.talk((alice, numbers[1]), (new, numbers[1]))
        earlier.talk((alice, numbers[2]), (old, numbers[2]), state="closed")
        long_message = {"virtual_number": numbers[0], "concat_ref": "7", "parts": 2, "due_at": NOW}
        for place, person in enumerate((old, new)):
            own = earlier.add("LongMessage", sender=person, **long_message)
            earlier.add("InboundMessage", carrier_message_id=place, outcome="part", sender=person, long_message=own)
            earlier.add("OutboundMessage", kind="notice", sender=numbers[0], recipient=person, segments=1)
            earlier.add("Shortage", "numbers", real_number=person, eligible_count=1, in_use=1, needed=2)

        merge_spellings()

        person = RealNumber.objects.with_number(OLD).get()
        assert RealNumber.objects.count() == 2
        assert person.number == NEW
        assert person.inbound_messages.count() == person.messages.count() == person.shortages.count() == 2
        assert person.participants.count() == 3
        assert person.long_messages.filter(closed_at=None).count() == 2
        assert all(outcome(spelling, number) == "relayed" for spelling in (OLD, NEW) for number in numbers[:2])
        assert "1 were merged" in capsys.readouterr().out

    @pytest.mark.parametrize("newer", [OLD, NEW])
    def test_of_two_conversations_with_one_pair_of_numbers_the_newer_stays_open(self, earlier, newer, capsys):
        older = NEW if newer == OLD else OLD
        alice, charlie, shared = earlier.person(ALICE), earlier.person(CHARLIE), earlier.number(live_pair_count=2)
        people = {spelling: earlier.person(spelling) for spelling in (OLD, NEW)}
        elsewhere = earlier.number(live_pair_count=2)
        first = earlier.talk((people[older], shared), (alice, elsewhere), late_messages="reopen")
        second = earlier.talk((people[newer], shared), (charlie, elsewhere))

        merge_spellings()

        closed = Conversation.objects.get(pk=first.pk)
        assert (closed.state, closed.closed_reason, closed.late_messages) == ("closed", "two spellings", "end")
        assert closed.events.get().new_state == "closed"
        assert {explain_route(spelling, shared.number).conversation.id for spelling in (OLD, NEW)} == {second.public_id}
        assert outcome(ALICE, elsewhere) == "ended"
        with pytest.raises(StaleState):
            closed.reopen()
        assert not [number for number in VirtualNumber.objects.all() if recount_live_pairs(number)]
        said = capsys.readouterr().out
        assert str(first.public_id) in said
        assert OLD[1:] not in said
        assert NEW[1:] not in said

    def test_an_open_conversation_stays_before_a_newer_one_that_cools_down(self, earlier):
        shared = earlier.number(live_pair_count=2)
        first = earlier.talk((earlier.person(NEW), shared), (earlier.person(ALICE), earlier.number()))
        earlier.talk((earlier.person(OLD), shared), (earlier.person(BOB), earlier.number()), state="closed")

        merge_spellings()

        assert explain_route(OLD, shared.number).conversation.id == first.public_id
        assert Conversation.objects.get(pk=first.pk).state == "open"

    def test_two_spellings_in_one_conversation_stay_two_people_and_it_is_closed(self, earlier, capsys):
        numbers = [earlier.number() for _ in range(3)]
        old, new = earlier.person(OLD), earlier.person(NEW)
        both = earlier.talk((new, numbers[0]), (old, numbers[1]))
        other = earlier.talk((old, numbers[2]), (earlier.person(ALICE), earlier.number()))

        merge_spellings()

        assert Conversation.objects.get(pk=both.pk).state == "closed"
        assert explain_route(NEW, numbers[2].number).conversation.id == other.public_id
        assert outcome(OLD, numbers[1]) == "no_route"
        assert f"Real number {old.pk} was not merged with {new.pk}" in capsys.readouterr().out
        assert not [number for number in VirtualNumber.objects.all() if recount_live_pairs(number)]

    def test_a_row_that_cannot_be_decrypted_is_reported_and_the_others_are_done(self, earlier, capsys):
        lost, found = earlier.person(OLD), earlier.person(OLD[:-1] + "9")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE numbers_realnumber SET number = 'no token' WHERE id = %s", [lost.pk])

        merge_spellings()

        hashes = dict(RealNumber.objects.values_list("pk", "number_hash"))
        assert hashes == {lost.pk: keyed_hash(OLD), found.pk: number_hash(NEW[:-1] + "9")}
        assert f"left as they are: {lost.pk}." in capsys.readouterr().out

    def test_an_interrupted_run_is_finished_by_the_next(self, earlier, monkeypatch):
        people = [earlier.person(f"{OLD[:-1]}{digit}") for digit in range(4)]
        monkeypatch.setattr(one_spelling, "BATCH", 2)
        settle, calls = one_spelling.Merging.settle, count(1)

        def crash(self, pk, its_hash):
            if next(calls) == 4:
                raise KeyboardInterrupt
            settle(self, pk, its_hash)

        monkeypatch.setattr(one_spelling.Merging, "settle", crash)
        with pytest.raises(KeyboardInterrupt):
            merge_spellings()
        merge_spellings()

        spellings = [f"{NEW[:-1]}{digit}" for digit in range(4)]
        found = RealNumber.objects.by_number(spellings)
        assert [found[spelling].pk for spelling in spellings] == [person.pk for person in people]
