"""GET /api/v1/events/: what a key reads, and in which steps."""

import pytest
from django.db import connection

from conversations.models import Conversation
from conversations.retention.delete_rows import delete_batch
from conversations.retention.rules import RULES
from smsproxy.events.models import FeedEvent
from smsproxy.events.record import NewEvent, record
from smsproxy.events.types import EventType
from smsproxy.opaque_ids import IdKind, public_id
from smsproxy.services.models import Service
from tests.support.api_requests import is_refused
from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.feed import FEED, client_of, read, read_all, types
from tests.support.outbox import later
from tests.support.retention import DAY
from tests.support.statements import recorded_statements

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("every_event_is_valid")]


def write(how_many=1, service_id=1, type_=EventType.CONVERSATION_HELD, **fields):
    record(*(NewEvent(type=type_, service_id=service_id, **fields) for _ in range(how_many)))


def delete_old_events():
    [rule] = [rule for rule in RULES if rule.model is FeedEvent]
    delete_batch(rule)


def test_a_reader_gets_every_event_once_and_in_order_page_by_page(api):
    write(7)

    pages = [read(api, page_size=3)]
    while pages[-1]["results"]:
        pages.append(read(api, page_size=3, after=pages[-1]["cursor"]))

    assert [len(page["results"]) for page in pages] == [3, 3, 1, 0]
    ids = [event["id"] for page in pages for event in page["results"]]
    assert ids == [event["id"] for event in read(api)["results"]]
    assert len(set(ids)) == 7


def test_the_id_of_an_event_is_the_cursor_after_it(api):
    write(3)
    _, second, third = read(api)["results"]

    assert read(api, after=second["id"])["results"] == [third]


def test_the_latest_cursor_is_after_all_events_that_exist(api):
    write(3)

    page = read(api, after="latest")
    write()

    assert page["results"] == []
    assert len(read(api, after=page["cursor"])["results"]) == 1


def test_an_empty_feed_has_a_cursor_to_go_on_from(api):
    cursor = read(api)["cursor"]
    write()

    assert len(read(api, after=cursor)["results"]) == 1


def test_an_event_says_what_happened_when_and_in_which_conversation(api, time_machine):
    time_machine.move_to("2026-11-28T12:00:00Z", tick=False)
    add_numbers(2)
    conversation = talk(ALICE, BOB, reference="order-42")

    [event] = read(api)["results"]

    assert event == {
        "id": event["id"],
        "type": "conversation.created",
        "created_at": "2026-11-28T12:00:00Z",
        "conversation": {"id": str(conversation.public_id), "reference": "order-42"},
        "data": {"parties": 2},
    }


def test_an_event_stays_when_its_conversation_has_been_deleted(api):
    write(conversation_id=12345)

    [event] = read(api)["results"]

    assert event["conversation"] is None


# Whose events --------------------------------------------------------------------------------------------------------


def test_a_key_sees_the_events_of_its_own_service_only(api):
    other = Service.objects.create(name="food")
    write(2, service_id=other.pk)
    write(1)

    assert len(read(api)["results"]) == 1
    assert len(read(client_of(service=other))["results"]) == 2


def test_a_cursor_passes_the_events_of_other_services(api):
    other = Service.objects.create(name="food")
    write(3, service_id=other.pk)

    cursor = read(api)["cursor"]

    assert read(client_of(service=other), after=cursor)["results"] == []


def test_events_of_numbers_and_troubles_need_the_scope_numbers(api):
    write()
    write(type_=EventType.NUMBER_RETIRED, service_id=None, data={"number": "+447700900500", "reason": "sold"})
    write()
    operator = client_of(scopes="read numbers")

    assert types(read(api)["results"]) == ["conversation.held"] * 2
    assert types(read(operator)["results"]) == ["conversation.held", "number.retired", "conversation.held"]
    assert types(read_all(operator, page_size=1)) == types(read(operator)["results"])


# Cursors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cursor", ["", "latest ", "12", "not-a-cursor", public_id(IdKind.INBOUND_MESSAGE, 1)])
def test_a_broken_cursor_is_refused(api, cursor):
    answer = api.get(FEED, {"after": cursor})

    assert answer.status_code == 400, answer.content


def test_the_cursor_of_another_kind_of_id_is_named_invalid(api):
    problem = is_refused(api.get(FEED, {"after": public_id(IdKind.BLOCK, 1)}), 400, "cursor_invalid")

    assert [each["parameter"] for each in problem["errors"]] == ["after"]


@pytest.mark.parametrize("page_size", ["0", "201", "-1", "ten"])
def test_a_page_size_out_of_range_is_refused(api, page_size):
    assert api.get(FEED, {"page_size": page_size}).status_code == 400


def test_an_unknown_parameter_is_refused(api):
    is_refused(api.get(FEED, {"before": "x"}), 400, "unknown_parameter")


def test_a_cursor_works_for_thirty_days_and_then_says_that_it_has_expired(api, time_machine):
    write()
    cursor = read(api)["cursor"]
    write()

    later(time_machine, 30 * DAY - 60)
    delete_old_events()
    assert len(read(api, after=cursor)["results"]) == 1

    later(time_machine, 120)
    is_refused(api.get(FEED, {"after": cursor}), 410, "cursor_expired")


def test_events_go_after_thirty_days_and_a_reader_without_a_cursor_begins_with_the_oldest_kept(api, time_machine):
    write()
    later(time_machine, 29 * DAY)
    write()
    later(time_machine, 2 * DAY)

    delete_old_events()

    assert FeedEvent.objects.count() == 1
    assert len(read(api)["results"]) == 1


# Cost ----------------------------------------------------------------------------------------------------------------


def test_a_page_takes_the_same_number_of_statements_whatever_is_on_it(api):
    add_numbers(4)

    def statements():
        with recorded_statements() as found:
            read(api)
        return len(found)

    talk(ALICE, BOB)
    few = statements()
    for _ in range(3):
        conversation = Conversation.objects.latest("pk")
        conversation.close()
        conversation.reopen()
        write(20, conversation_id=conversation.pk)

    assert statements() == few


@pytest.mark.postgres
@pytest.mark.parametrize("service_id", [1, None])
def test_a_page_is_read_by_an_index_no_matter_which_service_has_the_most_events(service_id):
    write(3000, service_id=2)
    write(2000, service_id=None)
    write(50)
    rows = FeedEvent.objects.filter(service_id=service_id, pk__gt=0, pk__lte=10**9).order_by("service_id", "pk")[:100]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE events_feedevent")
        # After other tests, the table may have empty pages: then a bitmap and a sort of 50 rows cost as little.
        cursor.execute("SET LOCAL enable_bitmapscan = off")

    plan = rows.explain()

    assert "event_of_service" in plan
    assert "Sort" not in plan
    assert "Seq Scan" not in plan
