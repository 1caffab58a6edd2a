"""No late message reopens a conversation that was closed permanently."""

import pytest

from conversations.models import Conversation
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.states import StaleState
from tests.support.api_requests import URL
from tests.support.late_messages import HOUR, close_permanently, new_conversation, pass_time, reload, text_from

pytestmark = pytest.mark.django_db


def test_a_late_message_does_not_reopen_a_permanently_closed_conversation(api):
    conversation = new_conversation(late_messages="reopen")

    answer = close_permanently(api, conversation)

    assert (answer.status_code, answer.json()["late_messages"]) == (200, "end")
    assert text_from(0, conversation).outcome == "ended"


@pytest.mark.parametrize("is_swept", [True, False])
def test_a_closed_conversation_can_be_closed_permanently_more_than_once(api, time_machine, is_swept):
    conversation = new_conversation(late_messages="reopen", ttl=HOUR)
    pass_time(time_machine, HOUR)
    if is_swept:
        run_jobs()

    answers = [close_permanently(api, conversation).json() for _ in range(2)]

    assert answers[0] == answers[1]
    assert (answers[0]["status"], answers[0]["late_messages"]) == ("closed", "end")
    assert text_from(0, conversation).outcome == "ended"


def test_a_conversation_that_a_late_message_just_reopened_is_closed_permanently():
    conversation = new_conversation(late_messages="reopen").close()
    stale = Conversation.objects.get()
    text_from(0, conversation)

    stale.close_permanently(actor="staff")

    assert (reload(conversation).state, conversation.late_messages) == ("closed", "end")


def test_closing_a_closed_conversation_permanently_is_recorded_once():
    conversation = new_conversation(late_messages="reopen").close()

    conversation.close_permanently(actor="staff")
    with pytest.raises(StaleState):
        conversation.close_permanently(actor="somebody else")

    event = conversation.events.first()
    assert (event.old_state, event.new_state, event.actor) == ("closed", "closed", "staff")


@pytest.mark.parametrize("body", [{"permanent": False}, {}, None])
def test_a_late_message_reopens_a_conversation_that_was_not_closed_permanently(api, body):
    conversation = new_conversation(late_messages="reopen")

    assert api.post(f"{URL}{conversation.public_id}/close/", body).status_code == 200
    assert text_from(0, conversation).outcome == "relayed"


@pytest.mark.parametrize("body", [{"for_ever": True}, {"permanent": "perhaps"}, {"permanent": None}, [True]])
def test_an_invalid_close_request_closes_nothing(api, body):
    conversation = new_conversation()

    assert api.post(f"{URL}{conversation.public_id}/close/", body).status_code == 400
    assert reload(conversation).is_live()
