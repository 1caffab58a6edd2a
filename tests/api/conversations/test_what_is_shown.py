"""A conversation shows what was asked for, and what has become of it."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from conversations.models import OutboundMessage
from smsproxy.carriers.base import OutcomeUnknown, PermanentFailure
from tests.support.api_requests import URL
from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.late_messages import HOUR, pass_time, text_from
from tests.support.outbox import work
from tests.support.signing import signed_receipt

pytestmark = pytest.mark.django_db


def shown(api, address):
    answer = api.get(address)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_everything_that_was_asked_for_is_shown_in_the_answer_and_later(api, create):
    asked = {
        "reference": "order-42",
        "unique_reference": True,
        "ttl": 7200,
        "idle_ttl": 3600,
        "language": "pt-BR",
        "texts": {"ended": "Acabou."},
        "metadata": {"order": {"id": 42, "tags": ["a", None, 1.5]}},
        "stickiness": "sticky",
        "on_exhausted": "soft",
        "on_existing": "new",
        "geography": "any",
        "late_messages": "reopen",
        "notify": False,
    }

    found = shown(api, create(**asked))

    assert {name: found[name] for name in asked} == asked


def test_defaults_are_shown_as_null_or_empty(api, create):
    found = shown(api, create())

    empty = {"metadata": {}, "texts": {}, "language": None, "stickiness": None, "on_exhausted": None}
    assert {name: found[name] for name in empty} == empty
    assert [found[name] for name in ("ttl", "expires_at", "idle_at", "last_message_at")] == [None] * 4


def test_participants_have_a_position_and_what_they_are(api, create):
    people = shown(api, create())["participants"]

    assert [(each["position"], each["label"], each["side"], each["one_way"]) for each in people] == [
        (0, "Rider", None, False),
        (1, "Driver", None, False),
    ]


def test_metadata_is_encrypted_and_null_if_no_key_decrypts_it(api, create):
    address = create(metadata={"order": "secret-42"})
    with connection.cursor() as cursor:
        cursor.execute("SELECT metadata FROM conversations_conversation")
        assert "secret-42" not in cursor.fetchone()[0]
        cursor.execute("UPDATE conversations_conversation SET metadata = 'broken'")

    assert shown(api, address)["metadata"] is None


@pytest.mark.usefixtures("_still")
class TestTheEndThatIsShown:
    def test_an_open_conversation_shows_its_end(self, api, create):
        found = shown(api, create(ttl=HOUR, idle_ttl=60))

        now = timezone.now()
        assert datetime.fromisoformat(found["expires_at"]) == now + timedelta(seconds=HOUR)
        assert datetime.fromisoformat(found["idle_at"]) == now + timedelta(seconds=60)
        assert found["expires_at"].endswith("Z")

    def test_one_that_was_closed_before_its_end_shows_none(self, api, create):
        address = create(ttl=HOUR, idle_ttl=HOUR)
        api.post(f"{address}close/")

        found = shown(api, address)

        assert (found["status"], found["expires_at"], found["idle_at"]) == ("closed", None, None)

    @pytest.mark.parametrize(("reached", "not_reached"), [("expires_at", "idle_at"), ("idle_at", "expires_at")])
    def test_one_whose_time_is_up_shows_the_end_that_it_reached(self, api, create, time_machine, reached, not_reached):
        seconds = {"expires_at": "ttl", "idle_at": "idle_ttl"}
        address = create(**{seconds[reached]: 60, seconds[not_reached]: HOUR})
        before = shown(api, address)[reached]
        pass_time(time_machine, 61)

        found = shown(api, address)

        assert (found["status"], found[reached], found[not_reached]) == ("closed", before, None)


class TestConfirmations:
    def statuses(self, api, address):
        found = shown(api, address)
        # Which of two messages leaves first is a matter of chance.
        return sorted(each["confirmation"]["status"] for each in found["participants"]), found["notify_status"]

    def test_without_notify_there_are_none(self, api, create):
        assert self.statuses(api, create(notify=False)) == (["none", "none"], "none")
        assert shown(api, create(notify=False))["participants"][0]["confirmation"]["at"] is None

    def test_each_participant_shows_what_became_of_theirs_and_when(self, api, create, carrier, time_machine):
        address = create(notify=True)
        assert self.statuses(api, address) == (["queued", "queued"], "queued")
        carrier.script = [carrier.accept, OutcomeUnknown("no answer")]
        time_machine.move_to(timezone.now() + timedelta(seconds=10), tick=False)

        work()

        assert self.statuses(api, address) == (["sent", "unknown"], "unknown")
        for participant in shown(api, address)["participants"]:
            at = datetime.fromisoformat(participant["confirmation"]["at"])
            assert abs(at - timezone.now()) < timedelta(seconds=1)

    def test_the_receipt_makes_it_delivered(self, api, create, carrier):
        address = create(notify=True)
        work()
        for message in OutboundMessage.objects.all():
            part = message.parts.get().carrier_message_id
            body = signed_receipt(client_ref=message.carrier_ref, messageId=part)
            assert Client().post("/webhooks/vonage/delivery-receipt", body, "application/json").status_code == 200

        assert self.statuses(api, address) == (["delivered", "delivered"], "delivered")
        assert shown(api, address)["notify_failed"] is False

    def test_the_worst_one_is_the_status_of_the_conversation(self, api, create, carrier):
        address = create(notify=True)
        carrier.script = [PermanentFailure("no such number", code="6"), carrier.accept]

        work()

        assert self.statuses(api, address) == (["failed", "sent"], "failed")
        assert shown(api, address)["notify_failed"] is True


class TestCounts:
    def test_texts_and_messages_are_counted_by_what_became_of_them(self, api, carrier, settings):
        settings.UNDELIVERED_NOTICE = settings.ENDED_NOTICE = ""
        add_numbers(2)
        conversation = talk(ALICE, BOB, notify=True)
        address = f"{URL}{conversation.public_id}/"
        text_from(0, conversation)
        text_from(1, conversation)
        carrier.script = [carrier.accept, carrier.accept, carrier.accept, PermanentFailure("refused", code="6")]
        work()
        conversation.close()
        text_from(0, conversation)

        counts = shown(api, address)["message_counts"]

        assert {name: count for name, count in counts.items() if count} == {
            "received": 3,
            "relayed": 2,
            "sent": 3,
            "failed": 1,
        }

    def test_the_last_message_is_that_of_a_person_and_not_a_notice_of_ours(self, api, carrier, time_machine):
        add_numbers(2)
        conversation = talk(ALICE, BOB, notify=True)
        address = f"{URL}{conversation.public_id}/"
        work()
        assert shown(api, address)["last_message_at"] is None
        pass_time(time_machine, 60)
        text_from(0, conversation)
        wrote_at = timezone.now()
        pass_time(time_machine, 60)
        work()

        assert datetime.fromisoformat(shown(api, address)["last_message_at"]) == wrote_at

    def test_another_conversation_of_the_same_people_is_counted_apart(self, api):
        add_numbers(4)
        first, second = talk(ALICE, BOB), talk(ALICE, BOB)
        text_from(0, first)

        counts = [shown(api, f"{URL}{each.public_id}/")["message_counts"]["received"] for each in (first, second)]

        assert counts == [1, 0]


def test_a_page_of_any_length_takes_as_many_queries_as_one_conversation(api, django_assert_max_num_queries):
    add_numbers(10)
    for index in range(8):
        conversation = talk(ALICE, f"+4477007{index:05}", notify=True)
        text_from(0, conversation)

    for size in (1, 8):
        with django_assert_max_num_queries(8):
            found = api.get(URL, {"page_size": size}).json()["results"]
        assert [each["message_counts"]["received"] for each in found] == [1] * size


def test_a_conversation_of_another_service_is_not_found(api, other_service, create):
    address = create()
    kept = shown(api, address)

    for method, where in [("get", ""), ("patch", ""), ("post", "close/"), ("post", "reopen/"), ("post", "extend/")]:
        body = {"seconds": 60} if where == "extend/" else {}
        answer = getattr(other_service, method)(f"{address}{where}", *([] if method == "get" else [body]))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), where
    assert shown(api, address) == kept
