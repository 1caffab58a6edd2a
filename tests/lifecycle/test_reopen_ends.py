"""A reopened conversation has an end: its ttl again, its fixed end, or a new one."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from conversations.lifecycle.change import check_reference
from conversations.models import Conversation
from conversations.worker.periodic_jobs import run_jobs
from tests.support.api_requests import URL, is_refused
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, proxies, talk
from tests.support.late_messages import HOUR, new_conversation, pass_time, reload, text_from

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_still")]


@pytest.fixture
def _still(time_machine):
    time_machine.move_to(timezone.now(), tick=False)


def in_seconds(seconds):
    return timezone.now() + timedelta(seconds=seconds)


def reopen(api, conversation, **body):
    return api.post(f"{URL}{conversation.public_id}/reopen/", body)


def end_of(answer):
    assert answer.status_code == 200, answer.content
    found = answer.json()
    return found["ttl"], found["expires_at"] and datetime.fromisoformat(found["expires_at"])


def test_a_ttl_starts_again(api, time_machine):
    conversation = new_conversation(ttl=HOUR)
    pass_time(time_machine, 600)
    conversation.close()

    assert end_of(reopen(api, conversation)) == (HOUR, in_seconds(HOUR))


def test_an_extended_conversation_restarts_its_ttl_without_the_extension(api, time_machine):
    conversation = new_conversation(ttl=HOUR)
    conversation.extend(HOUR)
    conversation.close()

    assert end_of(reopen(api, conversation)) == (HOUR, in_seconds(HOUR))


def test_a_fixed_end_that_lies_ahead_stays(api, time_machine):
    end = in_seconds(2 * HOUR)
    conversation = new_conversation(expires_at=end).close()
    pass_time(time_machine, HOUR)

    assert end_of(reopen(api, conversation)) == (None, end)


@pytest.mark.parametrize("is_swept", [True, False])
def test_after_a_fixed_end_a_reopening_needs_a_new_one(api, time_machine, is_swept):
    conversation = new_conversation(expires_at=in_seconds(HOUR))
    pass_time(time_machine, HOUR)
    if is_swept:
        run_jobs()

    is_refused(reopen(api, conversation), 409, "end_has_passed")
    assert not reload(conversation).is_live()

    assert end_of(reopen(api, conversation, ttl=600)) == (600, in_seconds(600))


@pytest.mark.parametrize("body", [{"ttl": 600}, {"ttl": None}, {"ttl": 0}, {"expires_at": None}, {"expires_at": 900}])
def test_a_new_end_replaces_the_old_one(api, body):
    conversation = new_conversation(ttl=HOUR).close()
    if isinstance(body.get("expires_at"), int):
        body = {"expires_at": in_seconds(900).isoformat()}

    found = end_of(reopen(api, conversation, **body))

    expected = {"ttl": (600, in_seconds(600))} if body.get("ttl") else {"expires_at": (None, in_seconds(900))}
    assert found == (next(iter(expected.values())) if any(body.values()) else (None, None))


def test_a_reopening_of_an_open_conversation_changes_no_end(api):
    conversation = new_conversation(ttl=HOUR)

    assert end_of(reopen(api, conversation, ttl=600)) == (HOUR, in_seconds(HOUR))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"ttl": 600, "expires_at": "2099-01-01T00:00:00Z"}, "ttl_and_expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "not_in_future"),
        ({"expires_at": "9999-12-31T00:00:00Z"}, "end_too_late"),
        ({"ttl": "600"}, "not_an_integer"),
        ({"idle_ttl": 600}, "unknown_field"),
    ],
)
def test_a_wrong_end_is_rejected_and_it_stays_closed(api, body, code):
    conversation = new_conversation().close()

    is_refused(reopen(api, conversation, **body), 400, code)
    assert reload(conversation).state == "closed"


class TestALateText:
    def test_restarts_the_ttl(self, time_machine):
        conversation = new_conversation(late_messages="reopen", ttl=HOUR)
        pass_time(time_machine, HOUR)

        assert text_from(0, conversation).outcome == "relayed"
        assert reload(conversation).expires_at == in_seconds(HOUR)

    def test_reopens_before_a_fixed_end_which_stays(self, time_machine):
        end = in_seconds(HOUR)
        conversation = new_conversation(late_messages="reopen", expires_at=end).close()

        assert text_from(0, conversation).outcome == "relayed"
        assert (reload(conversation).state, conversation.expires_at) == ("open", end)

    @pytest.mark.parametrize("is_swept", [True, False])
    def test_does_not_reopen_after_a_fixed_end(self, time_machine, is_swept):
        conversation = new_conversation(late_messages="reopen", expires_at=in_seconds(HOUR))
        pass_time(time_machine, HOUR)
        if is_swept:
            run_jobs()

        assert text_from(0, conversation).outcome == "ended"
        assert not reload(conversation).is_live()

    def test_after_a_fixed_end_is_explained_so(self, api, time_machine):
        conversation = new_conversation(late_messages="reopen", expires_at=in_seconds(HOUR))
        pass_time(time_machine, HOUR)

        answer = api.get(
            "/api/v1/routes/explain/", {"to": proxies(conversation)[0]}, headers={"From-Number": ALICE}
        ).json()

        assert (answer["outcome"], answer["reopens"]) == ("ended", False)
        assert "its fixed end has passed" in answer["why"]

    def test_does_not_reopen_a_conversation_whose_unique_reference_is_taken(self):
        conversation = unique("order-1", late_messages="reopen").close()
        unique("order-1", ALICE, CHARLIE)

        assert text_from(0, conversation).outcome == "ended"
        assert reload(conversation).state == "closed"


class TestAUniqueReference:
    def test_that_is_taken_prevents_the_reopening_and_names_the_other(self, api):
        conversation = unique("order-1").close()
        other = unique("order-1", ALICE, CHARLIE)

        problem = is_refused(reopen(api, conversation), 409, "reference_taken")

        assert problem["conversation_id"] == str(other.public_id)
        assert reload(conversation).state == "closed"

    def test_that_another_held_until_its_time_was_up_is_free(self, api, time_machine):
        conversation = unique("order-1").close()
        other = unique("order-1", ALICE, CHARLIE, ttl=60)
        pass_time(time_machine, 61)

        assert reopen(api, conversation).json()["status"] == "open"
        assert reload(other).closed_reason == "expired"

    def test_that_is_taken_between_the_look_and_the_write_is_refused_too(self, api, monkeypatch):
        conversation = unique("order-1").close()
        others = []

        def take_it_after(row, reference):
            check_reference(row, reference)
            others.append(unique("order-1", ALICE, CHARLIE))

        monkeypatch.setattr("conversations.lifecycle.reopen.check_reference", take_it_after)

        problem = is_refused(reopen(api, conversation), 409, "reference_taken")

        assert problem["conversation_id"] == str(others[0].public_id)

    def test_of_an_open_conversation_is_no_hindrance_to_a_repeat(self, api):
        conversation = unique("order-1")
        talk(ALICE, CHARLIE, reference="order-1")

        assert reopen(api, conversation).status_code == 200

    def test_refuses_the_reopening_by_staff(self, admin_client):
        conversation = unique("order-1").close()
        unique("order-1", ALICE, CHARLIE)
        data = {"action": "reopen", "_selected_action": conversation.pk, "reason": "ticket 4711"}

        page = admin_client.post("/admin/conversations/conversation/", data, follow=True)

        assert "0 done, 1 refused" in page.text
        assert "another open conversation has this reference" in page.text


def unique(reference, *people, **options):
    add_numbers(2, start=f"+44770080{Conversation.objects.count():02}")
    return talk(*people or (ALICE, BOB), reference=reference, unique_reference=True, **options)
