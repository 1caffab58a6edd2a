"""A participant leaves a conversation: nobody there reaches them, and they reach nobody."""

import pytest
from django.utils import timezone

from conversations.intake.receive import receive
from conversations.models import InboundMessage, OutboundMessage, Participant
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.carriers.base import InboundText
from tests.support.api_requests import URL, counts_are_right, is_refused
from tests.support.builders import ALICE, BOB, CHARLIE, members, proxies, replace_number_of, talk
from tests.support.explanations import explain_and_send, text
from tests.support.opt_outs import messages_to, person
from tests.support.outbox import later, queue, state_of, work
from tests.support.participants import proxy_of

pytestmark = pytest.mark.django_db


def test_a_removed_participant_is_no_longer_shown(api, trio, of_trio):
    assert of_trio.remove(1).status_code == 204

    assert [each["position"] for each in of_trio.all()] == [0, 2]
    shown = api.get(f"{URL}{trio.public_id}/").json()["participants"]
    assert [each["position"] for each in shown] == [0, 2]
    assert api.get(of_trio.at(1)).status_code == 404


def test_removing_a_participant_again_is_not_found(of_trio):
    of_trio.remove(1)

    assert of_trio.remove(1).status_code == 404
    assert of_trio.remove(9).status_code == 404


def test_nobody_reaches_a_removed_participant_and_the_other_two_need_no_label(client, trio, of_trio):
    of_trio.remove(1)

    assert text(client, ALICE, proxies(trio)[0], "Hi").outcome == "relayed"

    assert messages_to(BOB) == []
    assert messages_to(CHARLIE) == ["Hi"]


def test_texts_of_a_removed_participant_reach_nobody_and_get_the_notice_that_it_ended(client, trio, of_trio, settings):
    theirs = proxies(trio)[1]
    of_trio.remove(1)

    explained = explain_and_send(client, BOB, theirs)

    assert explained.outcome == "ended"
    assert "left the conversation" in explained.why
    assert messages_to(ALICE) == messages_to(CHARLIE) == []
    assert messages_to(BOB) == [settings.ENDED_NOTICE]


def test_a_late_text_of_a_removed_participant_does_not_reopen_a_conversation(client, of_trio, trio):
    trio.late_messages = "reopen"
    trio.save(update_fields=["late_messages"])
    theirs = proxies(trio)[1]
    of_trio.remove(1)
    trio.close()

    assert text(client, BOB, theirs).outcome == "ended"

    trio.refresh_from_db()
    assert trio.state == "closed"


def test_the_pair_cools_down_and_is_then_free_for_others_while_the_conversation_is_open(
    client, trio, of_trio, time_machine, settings
):
    theirs = proxies(trio)[1]
    of_trio.remove(1)
    assert counts_are_right()
    assert theirs not in {proxies(talk(BOB, f"+44770090001{index}"))[0] for index in range(5)}

    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()

    assert text(client, BOB, theirs).outcome == "no_route"
    assert counts_are_right()


def test_the_end_of_the_conversation_does_not_extend_the_cool_down_of_a_removed_participant(
    trio, of_trio, time_machine
):
    of_trio.remove(1)
    left = Participant.objects.get(removed_at__isnull=False)
    later(time_machine, 3600)
    trio.close()

    before = left.release_at
    left.refresh_from_db()
    assert left.release_at == before


def test_a_reopening_does_not_bring_a_removed_participant_back(api, client, trio, of_trio):
    theirs = proxies(trio)[1]
    of_trio.remove(1)
    api.post(f"{URL}{trio.public_id}/close/")

    answer = api.post(f"{URL}{trio.public_id}/reopen/")

    assert [each["position"] for each in answer.json()["participants"]] == [0, 2]
    assert text(client, BOB, theirs).outcome == "ended"


def test_what_is_queued_for_them_is_cancelled_and_what_they_wrote_still_arrives(client, carrier, trio, of_trio):
    text(client, ALICE, proxies(trio)[0], "to all")
    text(client, BOB, proxies(trio)[1], "from Bob")

    of_trio.remove(1)
    work()

    assert {(sent.recipient, sent.text) for sent in carrier.sent} == {
        (CHARLIE, "Alice: to all"),
        (ALICE, "Bob: from Bob"),
        (CHARLIE, "Bob: from Bob"),
    }
    cancelled = OutboundMessage.objects.get(state="cancelled")
    assert cancelled.recipient == person(BOB)
    assert cancelled.events.first().reason == "its recipient was removed from the conversation"


def test_a_text_that_was_being_sent_to_them_is_not_sent_again(carrier, trio, of_trio):
    [message] = queue(members(trio)[1], "hello")
    OutboundMessage.objects.update(state="sending", attempts=1)
    of_trio.remove(1)
    assert state_of(message) == "sending"

    message.retry(after=0, reason="the carrier was busy")
    work()

    assert state_of(message) == "failed"
    assert carrier.sent == []


def test_a_number_that_was_replaced_before_reaches_nobody_either(client, trio, of_trio):
    bob = members(trio)[1]
    old = bob.proxy_number.number
    replace_number_of(bob)
    of_trio.remove(1)

    assert text(client, BOB, old).outcome == "ended"
    assert messages_to(ALICE) == []


def test_the_others_are_not_told_that_somebody_who_left_has_opted_out(client, trio, of_trio):
    theirs = proxies(trio)[1]
    of_trio.remove(1)

    assert text(client, BOB, theirs, "STOP").outcome == "keyword"

    assert messages_to(ALICE) == messages_to(CHARLIE) == []


def test_two_participants_stay(of_trio):
    of_trio.remove(1)

    is_refused(of_trio.remove(0), 409, "too_few_participants")

    assert len(of_trio.all()) == 2


def test_an_event_says_who_was_removed_and_by_which_key(trio, of_trio):
    of_trio.remove(1)

    event = trio.events.first()
    assert (event.reason, event.actor) == ("participant 1 was removed", "API key rides-backend")


def test_a_person_who_comes_back_has_a_new_position_and_their_old_number(client, trio, of_trio):
    before = proxies(trio)[1]
    of_trio.remove(1)

    added = of_trio.add(BOB, label="Bob")

    assert added.json()["position"] == 3
    assert proxy_of(added) == before
    assert text(client, BOB, before, "back").outcome == "relayed"
    assert messages_to(ALICE) == ["Bob: back"]
    assert counts_are_right()


def test_a_person_who_comes_back_gets_another_number_if_their_old_one_is_out_of_service(trio, of_trio):
    number = members(trio)[1].proxy_number
    of_trio.remove(1)
    number.quarantine(reason="test")

    assert proxy_of(of_trio.add(BOB)) != number.number
    assert counts_are_right()


def test_a_text_written_while_they_were_out_is_not_passed_on_after_their_return(trio, of_trio, time_machine):
    before = proxies(trio)[1]
    of_trio.remove(1)
    later(time_machine, 600)
    written_at = timezone.now()
    later(time_machine, 600)
    assert proxy_of(of_trio.add(BOB)) == before

    receive(InboundText(carrier_message_id="m", sender=BOB, recipient=before, text="Hello?", sent_at=written_at))

    assert InboundMessage.objects.get().outcome == "ended"
    assert messages_to(ALICE) == []
