"""PATCH changes what its body names, and nothing else."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from conversations.models import Conversation, ConversationEvent
from tests.support.api_requests import is_refused
from tests.support.builders import ALICE, proxies
from tests.support.late_messages import HOUR, pass_time, text

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_still")]


def changed(api, address, **body):
    answer = api.patch(address, body)
    assert answer.status_code == 200, answer.content
    assert answer.json() == api.get(address).json()
    return answer.json()


def in_seconds(seconds):
    return timezone.now() + timedelta(seconds=seconds)


def written(moment):
    return moment.isoformat().replace("+00:00", "Z")


def test_only_the_named_fields_change(api, create):
    address = create(reference="order-1", ttl=HOUR, idle_ttl=HOUR, metadata={"a": 1}, language="de")
    before = api.get(address).json()

    after = changed(api, address, metadata={"b": 2})

    assert after == before | {"metadata": {"b": 2}}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reference", "order-2"),
        ("reference", ""),
        ("metadata", {"driver": 7}),
        ("late_messages", "reopen"),
        ("language", "pt-BR"),
        ("texts", {"ended": "It is over."}),
    ],
)
def test_an_open_or_ended_conversation_can_change_its_terms(api, create, name, value):
    address = create(reference="order-1", metadata={"a": 1}, late_messages="end")
    assert changed(api, address, **{name: value})[name] == value

    ended = create(reference="order-3", metadata={"a": 1}, late_messages="end")
    api.post(f"{ended}close/")
    assert changed(api, ended, **{name: value})[name] == value


@pytest.mark.parametrize(("name", "empty"), [("metadata", {}), ("language", None), ("texts", {})])
def test_null_takes_a_value_away(api, create, name, empty):
    address = create(metadata={"a": 1}, language="de", texts={"ended": "Over."})

    assert changed(api, address, **{name: None})[name] == empty


class TestTheEnd:
    def test_a_ttl_counts_from_now(self, api, create, time_machine):
        address = create(ttl=HOUR)
        pass_time(time_machine, HOUR // 2)

        found = changed(api, address, ttl=600)

        assert (found["ttl"], datetime.fromisoformat(found["expires_at"])) == (600, in_seconds(600))

    def test_a_fixed_end_replaces_the_ttl(self, api, create):
        end = in_seconds(5000)

        found = changed(api, create(ttl=HOUR), expires_at=written(end))

        assert (found["ttl"], datetime.fromisoformat(found["expires_at"])) == (None, end)

    def test_an_end_with_another_offset_is_shown_in_utc(self, api, create):
        end = (timezone.now() + timedelta(days=1)).replace(microsecond=0)
        elsewhere = (end + timedelta(hours=2)).isoformat().replace("+00:00", "+02:00")

        assert changed(api, create(), expires_at=elsewhere)["expires_at"] == written(end)

    @pytest.mark.parametrize("body", [{"ttl": None}, {"ttl": 0}, {"expires_at": None}])
    def test_it_can_be_taken_away(self, api, create, body):
        found = changed(api, create(ttl=HOUR), **body)

        assert (found["ttl"], found["expires_at"]) == (None, None)

    def test_it_takes_effect(self, api, create, time_machine):
        address = create(ttl=HOUR)
        changed(api, address, ttl=60)
        pass_time(time_machine, 61)

        assert api.get(address).json()["status"] == "closed"
        assert text(ALICE, proxies(Conversation.objects.get())[0]).outcome == "ended"

    def test_an_idle_limit_counts_from_now_and_each_text_moves_it(self, api, create, time_machine):
        address = create()

        assert datetime.fromisoformat(changed(api, address, idle_ttl=600)["idle_at"]) == in_seconds(600)

        pass_time(time_machine, 60)
        text(ALICE, proxies(Conversation.objects.get())[0])
        assert datetime.fromisoformat(api.get(address).json()["idle_at"]) == in_seconds(600)
        found = changed(api, address, idle_ttl=None)
        assert (found["idle_ttl"], found["idle_at"]) == (None, None)

    @pytest.mark.parametrize("body", [{"ttl": 600}, {"expires_at": None}, {"idle_ttl": 600}])
    @pytest.mark.parametrize("is_swept", [True, False])
    def test_that_of_an_ended_conversation_cannot_change(self, api, create, time_machine, body, is_swept):
        address = create(ttl=60)
        if is_swept:
            api.post(f"{address}close/")
        else:
            pass_time(time_machine, 61)
        before = api.get(address).json()

        is_refused(api.patch(address, body | {"reference": "new"}), 409, "conversation_ended")

        assert api.get(address).json() == before, "not the reference either"

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({"ttl": 59}, "ttl", "min_value"),
            ({"ttl": "600"}, "ttl", "not_an_integer"),
            ({"ttl": 10**9}, "ttl", "max_value"),
            ({"idle_ttl": 0}, "idle_ttl", "min_value"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "not_in_future"),
            ({"expires_at": "9999-12-31T00:00:00Z"}, "expires_at", "end_too_late"),
            ({"expires_at": "2099-01-01T00:00:00"}, "expires_at", "not_a_time"),
            ({"ttl": 600, "expires_at": "2099-01-01T00:00:00Z"}, "expires_at", "ttl_and_expires_at"),
            ({"reference": "a\nb"}, "reference", "control_character"),
            ({"unique_reference": "true"}, "unique_reference", "not_a_boolean"),
            ({"unique_reference": True}, "reference", "blank"),
            ({"late_messages": None}, "late_messages", "null"),
            ({"late_messages": "perhaps"}, "late_messages", "invalid_choice"),
            ({"language": "klingonese"}, "language", "no_language"),
            ({"texts": {"no_route": "?"}}, "texts/no_route", "unknown_text"),
            ({"metadata": []}, "metadata", "not_an_object"),
            ({"metadata": {"a": "x" * 4096}}, "metadata", "too_large"),
            ({"pool": "berlin"}, "pool", "unknown_field"),
        ],
    )
    def test_a_wrong_value_is_rejected_and_nothing_changes(self, api, create, body, field, code):
        address = create()
        before = api.get(address).json()

        problem = is_refused(api.patch(address, body | {"metadata": body.get("metadata", {"b": 2})}), 400, code)

        assert [each["pointer"] for each in problem["errors"]] == [f"/{field}"]
        assert api.get(address).json() == before


class TestAUniqueReference:
    def test_that_another_open_conversation_has_is_refused_and_named(self, api, create):
        first, second = create(reference="order-1"), create(reference="order-2", unique_reference=True)

        problem = is_refused(api.patch(second, {"reference": "order-1"}), 409, "reference_taken")

        assert problem["conversation_id"] in first
        is_refused(api.patch(first, {"reference": "order-2", "unique_reference": True}), 409, "reference_taken")
        assert api.get(second).json()["reference"] == "order-2"

    def test_cannot_be_empty_also_if_another_conversation_has_no_reference(self, api, create):
        create(reference="")
        second = create(reference="order-1", unique_reference=True)

        problem = is_refused(api.patch(second, {"reference": ""}), 400, "blank")

        assert [each["pointer"] for each in problem["errors"]] == ["/reference"]

    def test_is_free_again_once_its_conversation_has_ended(self, api, create, time_machine):
        create(reference="order-1", unique_reference=True, ttl=60)
        second = create(reference="order-2", unique_reference=True)
        pass_time(time_machine, 61)

        assert changed(api, second, reference="order-1")["reference"] == "order-1"
        # Its time was up. It gave way, and says why.
        assert Conversation.objects.order_by("pk").first().closed_reason == "expired"

    def test_of_another_service_is_no_hindrance(self, api, create, other_service):
        create(other_service, reference="order-1", unique_reference=True)

        assert changed(api, create(reference="order-1"), unique_reference=True)["unique_reference"] is True

    def test_may_be_given_up(self, api, create):
        first = create(reference="order-1", unique_reference=True)
        changed(api, first, unique_reference=False)

        assert create(reference="order-1")


def test_the_history_names_what_changed_and_who_did_it(api, create):
    address = create(metadata={"secret": "+447700900099"})

    changed(api, address, ttl=600, metadata={"secret": "+447700900098"})

    event = ConversationEvent.objects.order_by("pk").last()
    assert (event.reason, event.actor) == ("changed: metadata, ttl, expires_at", "API key rides-backend")


def test_a_repeated_change_and_an_empty_one_leave_no_trace(api, create):
    address = create(reference="order-1")
    before = ConversationEvent.objects.count()

    changed(api, address, reference="order-1")
    changed(api, address)

    assert ConversationEvent.objects.count() == before
