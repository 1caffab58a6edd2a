"""Messages that arrive after the end of their conversation, during the cool-down and after it."""

from datetime import datetime, timedelta
from itertools import count

import pytest
from django.utils import timezone

from conversations.intake import fast_path, receive
from conversations.models import Conversation, InboundMessage, OutboundMessage, Participant
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import Pool, VirtualNumber
from smsproxy.carriers.base import InboundText
from smsproxy.states import StaleState
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk

URL = "/api/v1/conversations/"
HOUR = 3600

pytestmark = pytest.mark.django_db

_ids = count(1)


@pytest.fixture(autouse=True)
def _still(time_machine):
    """Stop the clock. Only `pass_time` moves it."""
    time_machine.move_to(timezone.now(), tick=False)


def pass_time(time_machine, seconds):
    time_machine.move_to(timezone.now() + timedelta(seconds=seconds), tick=False)


def text(sender, to):
    """Receive a message and return its record, with the outcome."""
    name = f"late-{next(_ids)}"
    receive.receive(InboundText(carrier_message_id=name, sender=sender, recipient=to, text="I left my keys"))
    return InboundMessage.objects.get(carrier_message_id=name)


def text_from(person, conversation):
    """Receive a message from Alice (0) or Bob (1) to their proxy number in the conversation."""
    return text([ALICE, BOB][person], proxies(conversation)[person])


def relayed_to():
    return [message.recipient.number for message in OutboundMessage.objects.filter(kind="relay").order_by("pk")]


def new_conversation(**options):
    add_numbers(2)
    return talk(ALICE, BOB, **options)


def reload(conversation):
    conversation.refresh_from_db()
    return conversation


# Answered with a notice ----------------------------------------------------------------------------------------------


def test_a_late_message_reaches_nobody_and_its_sender_learns_that_the_conversation_ended(settings):
    conversation = new_conversation()
    conversation.close()

    late = text_from(0, conversation)

    assert late.outcome == "ended"
    assert late.participant == members(conversation)[0]
    [answer] = OutboundMessage.objects.all()
    assert (answer.recipient.number, answer.text) == (ALICE, settings.ENDED_NOTICE)
    assert answer.sender.number == proxies(conversation)[0]
    assert reload(conversation).state == "closed"


@pytest.mark.parametrize("option", ["ttl", "idle_ttl"])
def test_a_message_is_late_even_before_the_expired_conversation_is_closed(time_machine, option):
    options: dict = {option: HOUR}
    conversation = new_conversation(**options)
    pass_time(time_machine, HOUR)

    assert text_from(0, conversation).outcome == "ended"


@pytest.mark.parametrize("policy", ["end", "reopen"])
def test_a_message_is_in_time_if_the_time_was_not_up_when_it_was_read(time_machine, monkeypatch, policy):
    """One moment decides for the gates, the write and the idle time."""
    conversation = new_conversation(ttl=HOUR, late_messages=policy)
    monkeypatch.setattr(fast_path, "is_available", lambda: False)
    record = InboundMessage.objects.record

    def expire_and_record(message):
        pass_time(time_machine, HOUR)
        return record(message)

    monkeypatch.setattr(InboundMessage.objects, "record", expire_and_record)

    assert text_from(0, conversation).outcome == "relayed"

    assert not reload(conversation).is_live()
    assert OutboundMessage.objects.get().kind == "relay"


# Reopened by a late message -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "asked", "outcome"),
    [
        ("end", None, "ended"),
        ("reopen", None, "relayed"),
        ("end", "reopen", "relayed"),
        ("reopen", "end", "ended"),
    ],
)
def test_the_request_overrides_the_late_message_policy_of_the_settings(api, settings, setting, asked, outcome):
    settings.LATE_MESSAGE_POLICY = setting
    add_numbers(2)
    body = {"participants": [{"number": ALICE}, {"number": BOB}], "notify": False, "late_messages": asked}
    answer = api.post(URL, body).json()
    settings.LATE_MESSAGE_POLICY = "end"  # The value at creation counts.
    conversation = Conversation.objects.get()
    conversation.close()

    assert text_from(0, conversation).outcome == outcome
    assert answer["late_messages"] == (asked or setting)


def test_a_late_message_and_its_reply_reach_the_other_participant(api):
    conversation = new_conversation(late_messages="reopen")
    conversation.close()

    assert text_from(0, conversation).outcome == text_from(1, conversation).outcome == "relayed"

    assert relayed_to() == [BOB, ALICE]
    shown = api.get(f"{URL}{conversation.public_id}/").json()
    assert (shown["status"], shown["closed_at"], shown["closed_reason"]) == ("open", None, "")
    assert datetime.fromisoformat(shown["reopened_at"]) == timezone.now()
    assert [event.reason for event in conversation.events.all()][:2] == ["a late text", "closed"]
    assert {participant.release_at for participant in members(conversation)} == {None}


def test_late_messages_reopen_a_conversation_for_the_whole_cool_down_of_its_pool(time_machine):
    pool = Pool.objects.create(name="berlin", cool_down=3 * 24 * HOUR)
    add_numbers(2)
    VirtualNumber.objects.update(pool=pool)
    conversation = talk(ALICE, BOB, pool=pool, late_messages="reopen")

    conversation.close()
    pass_time(time_machine, 3 * 24 * HOUR - 1)
    run_jobs()
    assert text_from(0, conversation).outcome == "relayed"

    reload(conversation).close()
    pass_time(time_machine, 3 * 24 * HOUR + 1)
    run_jobs()
    assert text_from(0, conversation).outcome == "no_route"


def test_a_late_message_that_is_not_relayed_does_not_reopen_its_conversation(settings):
    settings.MAX_SEGMENTS = 1
    conversation = new_conversation(late_messages="reopen")
    conversation.close()
    to = proxies(conversation)[0]

    for words in ("", "x" * 200):
        name = f"late-{next(_ids)}"
        receive.receive(InboundText(carrier_message_id=name, sender=ALICE, recipient=to, text=words))

    assert {message.outcome for message in InboundMessage.objects.all()} == {"empty", "too_long"}
    assert reload(conversation).state == "closed"


def test_a_repeated_webhook_reopens_a_conversation_once():
    conversation = new_conversation(late_messages="reopen")
    conversation.close()
    late = InboundText(carrier_message_id="late", sender=ALICE, recipient=proxies(conversation)[0], text="hello?")

    receive.receive(late)
    reload(conversation).close()
    receive.receive(late)

    assert reload(conversation).state == "closed"
    assert relayed_to() == [BOB]


# Times after reopening ------------------------------------------------------------------------------------------------


def test_each_reopening_restarts_the_ttl_and_the_idle_ttl_without_extending_them(time_machine):
    conversation = new_conversation(late_messages="reopen", ttl=10 * HOUR, idle_ttl=2 * HOUR)

    for _ in range(3):
        pass_time(time_machine, HOUR)
        reload(conversation).close()
        pass_time(time_machine, 24 * HOUR)

        assert text_from(0, conversation).outcome == "relayed"

        reload(conversation)
        assert conversation.expires_at == timezone.now() + timedelta(hours=10)
        assert conversation.idle_at == timezone.now() + timedelta(hours=2)


def test_an_expired_conversation_reopened_before_it_is_closed_gets_its_full_ttl(time_machine):
    conversation = new_conversation(late_messages="reopen", ttl=HOUR)
    pass_time(time_machine, 3 * HOUR)

    assert text_from(0, conversation).outcome == "relayed"

    assert reload(conversation).expires_at == timezone.now() + timedelta(seconds=HOUR)
    assert [event.reason for event in conversation.events.all()][:2] == ["a late text", "expired"]
    run_jobs()
    assert reload(conversation).is_live()
    pass_time(time_machine, HOUR)
    run_jobs()
    assert reload(conversation).closed_reason == "expired"


def test_a_reopened_idle_conversation_is_closed_again_if_nobody_writes(time_machine):
    conversation = new_conversation(late_messages="reopen", idle_ttl=HOUR)
    pass_time(time_machine, 3 * HOUR)

    assert text_from(0, conversation).outcome == "relayed"
    assert [event.reason for event in conversation.events.all()][:2] == ["a late text", "idle"]

    pass_time(time_machine, HOUR)
    run_jobs()
    assert reload(conversation).closed_reason == "idle"


def test_a_conversation_without_a_ttl_has_none_after_reopening():
    conversation = new_conversation(late_messages="reopen")
    conversation.close()
    text_from(0, conversation)

    assert reload(conversation).expires_at is conversation.idle_at is None


def test_the_cool_down_restarts_when_a_reopened_conversation_ends(time_machine, settings):
    conversation = new_conversation(late_messages="reopen")
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS - HOUR)
    text_from(0, conversation)
    reload(conversation).close()
    pass_time(time_machine, 2 * HOUR)
    run_jobs()

    assert text_from(0, conversation).outcome == "relayed"


# Closed permanently ---------------------------------------------------------------------------------------------------


def closed_for_good(api, conversation):
    return api.post(f"{URL}{conversation.public_id}/close/", {"permanent": True})


def test_a_late_message_does_not_reopen_a_permanently_closed_conversation(api):
    conversation = new_conversation(late_messages="reopen")

    answer = closed_for_good(api, conversation)

    assert (answer.status_code, answer.json()["late_messages"]) == (200, "end")
    assert text_from(0, conversation).outcome == "ended"


@pytest.mark.parametrize("is_swept", [True, False])
def test_a_closed_conversation_can_be_closed_permanently_more_than_once(api, time_machine, is_swept):
    conversation = new_conversation(late_messages="reopen", ttl=HOUR)
    pass_time(time_machine, HOUR)
    if is_swept:
        run_jobs()

    answers = [closed_for_good(api, conversation).json() for _ in range(2)]

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


def test_cutting_one_cool_down_short_ends_the_conversation_for_both_participants():
    add_numbers(1)
    conversation = talk(ALICE, BOB, late_messages="reopen")
    conversation.close()
    with_charlie = talk(ALICE, CHARLIE, on_exhausted="soft")

    from_bob, from_alice = text_from(1, conversation), text_from(0, conversation)

    assert from_bob.outcome == "ended"
    assert reload(conversation).state == "closed"
    # Alice's number now serves another conversation of hers, and no other person's.
    assert (from_alice.outcome, from_alice.participant.conversation) == ("relayed", with_charlie)
    assert relayed_to() == [CHARLIE]


# After the cool-down --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late_messages", ["end", "reopen"])
def test_after_the_cool_down_a_late_message_reaches_nobody(time_machine, settings, late_messages):
    conversation = new_conversation(late_messages=late_messages)
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()
    strangers = talk(CHARLIE, "+447700900004")
    assert set(proxies(strangers)) == set(proxies(conversation))

    late = text_from(0, conversation)

    assert (late.outcome, late.participant) == ("no_route", None)
    assert relayed_to() == []
    assert reload(conversation).state == "closed"


def test_after_the_cool_down_a_late_message_reaches_its_senders_own_next_conversation(time_machine, settings):
    add_numbers(1)
    conversation = talk(ALICE, BOB, late_messages="reopen")
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()
    mine = talk(ALICE, CHARLIE)

    assert text_from(0, conversation).participant.conversation == mine
    assert text_from(1, conversation).outcome == "no_route"
    assert relayed_to() == [CHARLIE]


def test_cooling_numbers_are_not_given_to_another_conversation_of_the_same_person(time_machine, settings):
    conversation = new_conversation()
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS - HOUR)
    run_jobs()

    assert proxies(talk(ALICE, CHARLIE))[0] != proxies(conversation)[0]


# Reopened through the API ---------------------------------------------------------------------------------------------


def reopen(api, conversation):
    return api.post(f"{URL}{conversation.public_id}/reopen/")


@pytest.mark.parametrize("late_messages", ["end", "reopen"])
def test_the_api_can_reopen_a_conversation_under_any_late_message_policy(api, late_messages):
    conversation = new_conversation(late_messages=late_messages, ttl=HOUR)
    before = proxies(conversation)
    closed_for_good(api, conversation)

    answer = reopen(api, conversation)

    assert (answer.status_code, answer.json()["status"]) == (200, "open")
    assert [each["proxy_number"] for each in answer.json()["participants"]] == before
    assert conversation.events.first().actor == "API key rides-backend"
    assert text_from(0, conversation).outcome == "relayed"


def test_reopening_is_idempotent_and_leaves_an_open_conversation_unchanged(api, time_machine):
    conversation = new_conversation(ttl=10 * HOUR)
    pass_time(time_machine, HOUR)
    assert datetime.fromisoformat(reopen(api, conversation).json()["expires_at"]) == conversation.expires_at
    reload(conversation).close()

    first = reopen(api, conversation)
    pass_time(time_machine, HOUR)
    second = reopen(api, conversation)

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()


@pytest.mark.parametrize("is_swept", [True, False])
def test_an_expired_conversation_is_reopened_with_its_full_ttl(api, time_machine, is_swept):
    conversation = new_conversation(ttl=HOUR, idle_ttl=HOUR)
    pass_time(time_machine, 2 * HOUR)
    if is_swept:
        run_jobs()

    answer = reopen(api, conversation).json()

    end = timezone.now() + timedelta(seconds=HOUR)
    assert [datetime.fromisoformat(answer[name]) for name in ("expires_at", "idle_at")] == [end, end]
    assert answer["status"] == "open"


def test_a_conversation_that_is_closed_concurrently_can_be_reopened(time_machine):
    new_conversation(ttl=HOUR)
    pass_time(time_machine, HOUR)
    stale = Conversation.objects.get()
    run_jobs()

    stale.reopen()

    assert reload(stale).is_live()


def test_a_conversation_that_is_reopened_concurrently_is_not_closed_as_expired(time_machine, monkeypatch):
    """The job has read the conversation as expired, and reaches it after the reopening."""
    conversation = new_conversation(ttl=HOUR)
    pass_time(time_machine, HOUR)
    close = Conversation.close_expired

    def open_first(found):
        Conversation.objects.get(pk=found.pk).reopen()
        close(found)

    monkeypatch.setattr(Conversation, "close_expired", open_first)
    run_jobs()

    assert reload(conversation).is_live()


@pytest.mark.parametrize("gone", [0, 1])
def test_a_conversation_with_a_lost_number_cannot_be_reopened(api, gone):
    conversation = new_conversation(late_messages="reopen").close()
    members(conversation)[gone].proxy_number.mark_lost(reason="cancelled at the carrier")

    answer = reopen(api, conversation)

    assert (answer.status_code, answer.json()["code"]) == (409, "numbers_released")
    assert text_from(1 - gone, conversation).outcome == "ended"
    assert Participant.objects.cooling().count() == 2


def test_a_conversation_whose_numbers_were_released_cannot_be_reopened(api, time_machine, settings):
    conversation = new_conversation()
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()

    for _ in range(2):
        answer = reopen(api, conversation)
        assert answer.status_code == 409
        assert answer.json()["code"] == "numbers_released"
        assert answer["Content-Type"] == "application/problem+json"
    assert reload(conversation).state == "closed"


def test_a_conversation_with_one_released_number_stays_closed_and_the_other_keeps_cooling(api):
    add_numbers(1)
    conversation = talk(ALICE, BOB)
    conversation.close()
    talk(ALICE, CHARLIE, on_exhausted="soft")

    assert reopen(api, conversation).status_code == 409

    bob = members(conversation)[1]
    assert bob.release_at
    assert Participant.objects.cooling().get() == bob


def test_reopening_needs_an_api_key_and_an_existing_conversation(api, client):
    conversation = new_conversation()

    assert api.post(f"{URL}00000000-0000-4000-8000-000000000000/reopen/").status_code == 404
    assert client.post(f"{URL}{conversation.public_id}/reopen/").status_code == 401
