"""A text that comes after the end of its conversation, while its numbers still cool down; and after that."""

from datetime import datetime, timedelta
from itertools import count

import pytest
from django.utils import timezone

from conversations.intake import receive
from conversations.models import Conversation, InboundMessage, OutboundMessage, Participant
from conversations.worker.periodic_jobs import sweep
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
    """Time stands still, but for `later`."""
    time_machine.move_to(timezone.now(), tick=False)


def pass_time(time_machine, seconds):
    time_machine.move_to(timezone.now() + timedelta(seconds=seconds), tick=False)


def text(sender, to):
    """What became of a text."""
    name = f"late-{next(_ids)}"
    receive.receive(InboundText(carrier_message_id=name, sender=sender, recipient=to, text="I left my keys"))
    return InboundMessage.objects.get(carrier_message_id=name)


def says(person, conversation):
    """Alice (0) or Bob (1) writes to the number that they have in it."""
    return text([ALICE, BOB][person], proxies(conversation)[person])


def relayed_to():
    return [message.recipient.number for message in OutboundMessage.objects.filter(kind="relay").order_by("pk")]


def made(**options):
    add_numbers(2)
    return talk(ALICE, BOB, **options)


def again(conversation):
    conversation.refresh_from_db()
    return conversation


# Answered that it has ended -------------------------------------------------------------------------------------------


def test_its_sender_is_told_that_it_has_ended_and_nobody_gets_it(settings):
    conversation = made()
    conversation.close()

    late = says(0, conversation)

    assert late.outcome == "ended"
    assert late.participant == members(conversation)[0]
    [answer] = OutboundMessage.objects.all()
    assert (answer.recipient.number, answer.text) == (ALICE, settings.ENDED_NOTICE)
    assert answer.sender.number == proxies(conversation)[0]
    assert again(conversation).state == "closed"


@pytest.mark.parametrize("option", ["ttl", "idle_ttl"])
def test_even_before_the_sweep_has_closed_it(time_machine, option):
    options: dict = {option: HOUR}
    conversation = made(**options)
    pass_time(time_machine, HOUR)

    assert says(0, conversation).outcome == "ended"


# Opening it again -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "asked", "outcome"),
    [
        ("end", None, "ended"),
        ("reopen", None, "relayed"),
        ("end", "reopen", "relayed"),
        ("reopen", "end", "ended"),
    ],
)
def test_what_becomes_of_it_is_as_the_request_says_or_else_the_setting(api, settings, setting, asked, outcome):
    settings.LATE_MESSAGE_POLICY = setting
    add_numbers(2)
    body = {"participants": [{"number": ALICE}, {"number": BOB}], "notify": False, "late_messages": asked}
    answer = api.post(URL, body).json()
    settings.LATE_MESSAGE_POLICY = "end"  # What it was when the conversation was made counts.
    conversation = Conversation.objects.get()
    conversation.close()

    assert says(0, conversation).outcome == outcome
    assert answer["late_messages"] == (asked or setting)


def test_it_reaches_the_others_and_so_does_the_answer(api):
    conversation = made(late_messages="reopen")
    conversation.close()

    assert says(0, conversation).outcome == says(1, conversation).outcome == "relayed"

    assert relayed_to() == [BOB, ALICE]
    shown = api.get(f"{URL}{conversation.public_id}/").json()
    assert (shown["status"], shown["closed_at"], shown["closed_reason"]) == ("open", None, "")
    assert datetime.fromisoformat(shown["reopened_at"]) == timezone.now()
    assert [event.reason for event in conversation.events.all()][:2] == ["a late text", "closed"]
    assert {participant.release_at for participant in members(conversation)} == {None}


def test_in_a_pool_too_for_as_long_as_the_pool_cools_down(time_machine):
    pool = Pool.objects.create(name="berlin", cool_down=3 * 24 * HOUR)
    add_numbers(2)
    VirtualNumber.objects.update(pool=pool)
    conversation = talk(ALICE, BOB, pool=pool, late_messages="reopen")

    conversation.close()
    pass_time(time_machine, 3 * 24 * HOUR - 1)
    sweep()
    assert says(0, conversation).outcome == "relayed"

    again(conversation).close()
    pass_time(time_machine, 3 * 24 * HOUR + 1)
    sweep()
    assert says(0, conversation).outcome == "no_route"


def test_a_text_that_is_not_passed_on_does_not_open_it(settings):
    settings.MAX_SEGMENTS = 1
    conversation = made(late_messages="reopen")
    conversation.close()
    to = proxies(conversation)[0]

    for words in ("", "x" * 200):
        name = f"late-{next(_ids)}"
        receive.receive(InboundText(carrier_message_id=name, sender=ALICE, recipient=to, text=words))

    assert {message.outcome for message in InboundMessage.objects.all()} == {"empty", "too_long"}
    assert again(conversation).state == "closed"


def test_a_repeated_webhook_opens_it_once():
    conversation = made(late_messages="reopen")
    conversation.close()
    late = InboundText(carrier_message_id="late", sender=ALICE, recipient=proxies(conversation)[0], text="hello?")

    receive.receive(late)
    again(conversation).close()
    receive.receive(late)

    assert again(conversation).state == "closed"
    assert relayed_to() == [BOB]


# For how long ---------------------------------------------------------------------------------------------------------


def test_its_times_begin_anew_and_do_not_grow_however_often(time_machine):
    conversation = made(late_messages="reopen", ttl=10 * HOUR, idle_ttl=2 * HOUR)

    for _ in range(3):
        pass_time(time_machine, HOUR)
        again(conversation).close()
        pass_time(time_machine, 24 * HOUR)

        assert says(0, conversation).outcome == "relayed"

        again(conversation)
        assert conversation.expires_at == timezone.now() + timedelta(hours=10)
        assert conversation.idle_at == timezone.now() + timedelta(hours=2)


def test_one_that_expired_and_is_opened_before_the_sweep_has_its_whole_time_again(time_machine):
    conversation = made(late_messages="reopen", ttl=HOUR)
    pass_time(time_machine, 3 * HOUR)

    assert says(0, conversation).outcome == "relayed"

    assert again(conversation).expires_at == timezone.now() + timedelta(seconds=HOUR)
    assert [event.reason for event in conversation.events.all()][:2] == ["a late text", "expired"]
    sweep()
    assert again(conversation).is_live()
    pass_time(time_machine, HOUR)
    sweep()
    assert again(conversation).closed_reason == "expired"


def test_one_that_was_idle_is_closed_again_when_nobody_writes(time_machine):
    conversation = made(late_messages="reopen", idle_ttl=HOUR)
    pass_time(time_machine, 3 * HOUR)

    assert says(0, conversation).outcome == "relayed"
    assert [event.reason for event in conversation.events.all()][:2] == ["a late text", "idle"]

    pass_time(time_machine, HOUR)
    sweep()
    assert again(conversation).closed_reason == "idle"


def test_one_without_an_end_has_none_afterwards():
    conversation = made(late_messages="reopen")
    conversation.close()
    says(0, conversation)

    assert again(conversation).expires_at is conversation.idle_at is None


def test_its_numbers_cool_down_anew_after_the_next_end(time_machine, settings):
    conversation = made(late_messages="reopen")
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS - HOUR)
    says(0, conversation)
    again(conversation).close()
    pass_time(time_machine, 2 * HOUR)
    sweep()

    assert says(0, conversation).outcome == "relayed"


# Not any more ---------------------------------------------------------------------------------------------------------


def closed_for_good(api, conversation):
    return api.post(f"{URL}{conversation.public_id}/close/", {"permanent": True})


def test_closed_for_good_it_is_opened_by_no_text(api):
    conversation = made(late_messages="reopen")

    answer = closed_for_good(api, conversation)

    assert (answer.status_code, answer.json()["late_messages"]) == (200, "end")
    assert says(0, conversation).outcome == "ended"


@pytest.mark.parametrize("is_swept", [True, False])
def test_for_good_may_be_said_afterwards_and_again(api, time_machine, is_swept):
    conversation = made(late_messages="reopen", ttl=HOUR)
    pass_time(time_machine, HOUR)
    if is_swept:
        sweep()

    answers = [closed_for_good(api, conversation).json() for _ in range(2)]

    assert answers[0] == answers[1]
    assert (answers[0]["status"], answers[0]["late_messages"]) == ("closed", "end")
    assert says(0, conversation).outcome == "ended"


def test_for_good_even_if_a_late_text_has_just_opened_it():
    conversation = made(late_messages="reopen").close()
    stale = Conversation.objects.get()
    says(0, conversation)

    stale.close_permanently(actor="staff")

    assert (again(conversation).state, conversation.late_messages) == ("closed", "end")


def test_for_good_is_recorded_of_a_closed_one_too_and_once():
    conversation = made(late_messages="reopen").close()

    conversation.close_permanently(actor="staff")
    with pytest.raises(StaleState):
        conversation.close_permanently(actor="somebody else")

    event = conversation.events.first()
    assert (event.old_state, event.new_state, event.actor) == ("closed", "closed", "staff")


@pytest.mark.parametrize("body", [{"permanent": False}, {}, None])
def test_without_it_a_late_text_still_opens_it(api, body):
    conversation = made(late_messages="reopen")

    assert api.post(f"{URL}{conversation.public_id}/close/", body).status_code == 200
    assert says(0, conversation).outcome == "relayed"


@pytest.mark.parametrize("body", [{"for_ever": True}, {"permanent": "perhaps"}, {"permanent": None}, [True]])
def test_a_wrong_body_closes_nothing(api, body):
    conversation = made()

    assert api.post(f"{URL}{conversation.public_id}/close/", body).status_code == 400
    assert again(conversation).is_live()


def test_one_of_whose_cool_downs_one_was_cut_short_has_ended_for_both():
    add_numbers(1)
    conversation = talk(ALICE, BOB, late_messages="reopen")
    conversation.close()
    with_charlie = talk(ALICE, CHARLIE, on_exhausted="soft")

    from_bob, from_alice = says(1, conversation), says(0, conversation)

    assert from_bob.outcome == "ended"
    assert again(conversation).state == "closed"
    # Alice's number is that of another conversation of hers by now, and of nobody else's.
    assert (from_alice.outcome, from_alice.participant.conversation) == ("relayed", with_charlie)
    assert relayed_to() == [CHARLIE]


# After the cool-down --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late_messages", ["end", "reopen"])
def test_after_the_cool_down_it_reaches_nobody(time_machine, settings, late_messages):
    conversation = made(late_messages=late_messages)
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS + 1)
    sweep()
    strangers = talk(CHARLIE, "+447700900004")
    assert set(proxies(strangers)) == set(proxies(conversation))

    late = says(0, conversation)

    assert (late.outcome, late.participant) == ("no_route", None)
    assert relayed_to() == []
    assert again(conversation).state == "closed"


def test_or_the_person_s_own_next_conversation(time_machine, settings):
    add_numbers(1)
    conversation = talk(ALICE, BOB, late_messages="reopen")
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS + 1)
    sweep()
    mine = talk(ALICE, CHARLIE)

    assert says(0, conversation).participant.conversation == mine
    assert says(1, conversation).outcome == "no_route"
    assert relayed_to() == [CHARLIE]


def test_while_it_cools_down_its_numbers_go_to_no_other_conversation_of_theirs(time_machine, settings):
    conversation = made()
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS - HOUR)
    sweep()

    assert proxies(talk(ALICE, CHARLIE))[0] != proxies(conversation)[0]


# Reopening it by request ----------------------------------------------------------------------------------------------


def reopen(api, conversation):
    return api.post(f"{URL}{conversation.public_id}/reopen/")


@pytest.mark.parametrize("late_messages", ["end", "reopen"])
def test_the_marketplace_may_open_it_whatever_becomes_of_late_texts(api, late_messages):
    conversation = made(late_messages=late_messages, ttl=HOUR)
    before = proxies(conversation)
    closed_for_good(api, conversation)

    answer = reopen(api, conversation)

    assert (answer.status_code, answer.json()["status"]) == (200, "open")
    assert [each["proxy_number"] for each in answer.json()["participants"]] == before
    assert conversation.events.first().actor == "API key rides-backend"
    assert says(0, conversation).outcome == "relayed"


def test_it_may_be_repeated_and_an_open_one_stays_as_it_is(api, time_machine):
    conversation = made(ttl=10 * HOUR)
    pass_time(time_machine, HOUR)
    assert datetime.fromisoformat(reopen(api, conversation).json()["expires_at"]) == conversation.expires_at
    again(conversation).close()

    first = reopen(api, conversation)
    pass_time(time_machine, HOUR)
    second = reopen(api, conversation)

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()


@pytest.mark.parametrize("is_swept", [True, False])
def test_one_that_has_expired_is_opened_with_its_whole_time(api, time_machine, is_swept):
    conversation = made(ttl=HOUR, idle_ttl=HOUR)
    pass_time(time_machine, 2 * HOUR)
    if is_swept:
        sweep()

    answer = reopen(api, conversation).json()

    end = timezone.now() + timedelta(seconds=HOUR)
    assert [datetime.fromisoformat(answer[name]) for name in ("expires_at", "idle_at")] == [end, end]
    assert answer["status"] == "open"


def test_one_that_the_sweep_closes_in_the_same_moment_can_be_opened(time_machine):
    made(ttl=HOUR)
    pass_time(time_machine, HOUR)
    stale = Conversation.objects.get()
    sweep()

    stale.reopen()

    assert again(stale).is_live()


def test_one_that_is_opened_in_the_same_moment_is_not_closed_by_the_sweep(time_machine, monkeypatch):
    """It has read that the time of this one was up, and comes to it when it has begun anew."""
    conversation = made(ttl=HOUR)
    pass_time(time_machine, HOUR)
    close = Conversation.close_expired

    def open_first(found):
        Conversation.objects.get(pk=found.pk).reopen()
        close(found)

    monkeypatch.setattr(Conversation, "close_expired", open_first)
    sweep()

    assert again(conversation).is_live()


@pytest.mark.parametrize("gone", [0, 1])
def test_with_a_number_that_is_not_ours_any_more_it_is_opened_by_nobody(api, gone):
    conversation = made(late_messages="reopen").close()
    members(conversation)[gone].proxy_number.mark_lost(reason="cancelled at the carrier")

    answer = reopen(api, conversation)

    assert (answer.status_code, answer.json()["code"]) == (409, "numbers_released")
    assert says(1 - gone, conversation).outcome == "ended"
    assert Participant.objects.cooling().count() == 2


def test_without_its_numbers_it_cannot_be_opened(api, time_machine, settings):
    conversation = made()
    conversation.close()
    pass_time(time_machine, settings.COOL_DOWN_SECONDS + 1)
    sweep()

    for _ in range(2):
        answer = reopen(api, conversation)
        assert answer.status_code == 409
        assert answer.json()["code"] == "numbers_released"
        assert answer["Content-Type"] == "application/problem+json"
    assert again(conversation).state == "closed"


def test_nor_with_one_of_them_and_then_the_other_goes_on_cooling_down(api):
    add_numbers(1)
    conversation = talk(ALICE, BOB)
    conversation.close()
    talk(ALICE, CHARLIE, on_exhausted="soft")

    assert reopen(api, conversation).status_code == 409

    bob = members(conversation)[1]
    assert bob.release_at
    assert Participant.objects.cooling().get() == bob


def test_one_that_there_is_not_is_a_404_and_it_needs_a_key(api, client):
    conversation = made()

    assert api.post(f"{URL}00000000-0000-4000-8000-000000000000/reopen/").status_code == 404
    assert client.post(f"{URL}{conversation.public_id}/reopen/").status_code == 401
