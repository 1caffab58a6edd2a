"""A participant's label, direction and phone change while the conversation goes on."""

import pytest

from conversations.delivery.undelivered_notice import notify_sender
from conversations.models import Conversation, InboundMessage, OutboundMessage, Participant
from conversations.trust.blocks import block_pair
from numbers.models import RealNumber
from smsproxy.carriers.base import PermanentFailure
from tests.support.api_requests import URL, counts_are_right, is_refused
from tests.support.builders import ALICE, BOB, CHARLIE, members, proxies, replace_number_of, talk
from tests.support.explanations import explain_and_send, text
from tests.support.opt_outs import messages_to, person
from tests.support.outbox import later, queue, state_of, work
from tests.support.participants import DORA, proxy_of

pytestmark = pytest.mark.django_db

NEW_PHONE = "+447700900055"


# Label and direction --------------------------------------------------------------------------------------------------


def test_the_next_text_has_the_new_label(client, trio, of_trio):
    answer = of_trio.change(1, label="Driver")

    assert (answer.status_code, answer.json()["label"]) == (200, "Driver")
    assert text(client, BOB, proxies(trio)[1], "Here").outcome == "relayed"
    assert messages_to(ALICE) == ["Driver: Here"]
    assert trio.events.first().reason == "participant 1 was changed: label"


def test_a_change_of_nothing_leaves_no_trace(trio, of_trio):
    before = Conversation.objects.get().route_version

    assert of_trio.change(1, label="Bob", one_way=False).status_code == 200
    assert of_trio.change(1).status_code == 200

    assert Conversation.objects.get().route_version == before
    assert trio.events.count() == 1


def test_texts_of_a_one_way_participant_are_stored_and_reach_nobody(client, trio, of_trio):
    assert of_trio.change(1, one_way=True).json()["one_way"] is True

    explained = explain_and_send(client, BOB, proxies(trio)[1])

    assert explained.outcome == "one_way"
    assert "only receives" in explained.why
    assert InboundMessage.objects.get().text == "Hello"
    assert not OutboundMessage.objects.exists()


def test_a_one_way_participant_receives_texts_and_can_stop_them(client, trio, of_trio):
    of_trio.change(1, one_way=True)

    text(client, ALICE, proxies(trio)[0], "Hi")
    assert messages_to(BOB) == ["Alice: Hi"]
    assert text(client, BOB, proxies(trio)[1], "STOP").outcome == "keyword"
    assert person(BOB).opted_out_at


def test_a_late_text_of_a_one_way_participant_does_not_reopen_a_conversation(client, trio, of_trio):
    Conversation.objects.update(late_messages="reopen")
    of_trio.change(1, one_way=True)
    Conversation.objects.get().close()

    assert text(client, BOB, proxies(trio)[1]).outcome == "ended"

    assert Conversation.objects.get().state == "closed"


def test_a_one_way_participant_can_be_asked_for_at_the_creation_and_made_two_way_later(client, create, of_trio, api):
    answer = create({"number": ALICE, "one_way": True}, BOB)
    [alice, _] = answer.json()["participants"]
    assert alice["one_way"] is True
    assert text(client, ALICE, alice["proxy_number"]).outcome == "one_way"

    api.patch(f"{answer['Location']}participants/0/", {"one_way": False})

    assert text(client, ALICE, alice["proxy_number"]).outcome == "relayed"


def test_the_label_of_a_conversation_that_has_ended_can_change_and_a_phone_cannot(trio, of_trio):
    trio.close()

    assert of_trio.change(1, label="Driver").status_code == 200
    is_refused(of_trio.change(1, number=NEW_PHONE), 409, "conversation_ended")


def test_a_change_of_nobody_or_of_unknown_fields_is_refused(of_trio):
    assert of_trio.change(7, label="X").status_code == 404
    assert of_trio.change(7, number=NEW_PHONE).status_code == 404
    assert of_trio.change(1, side="team").status_code == 400
    assert of_trio.change(1, label="www.shop.example").status_code == 400


# Another phone --------------------------------------------------------------------------------------------------------


def test_a_new_phone_has_the_same_position_and_proxy_number_and_the_others_keep_theirs(client, trio, of_trio):
    before = proxies(trio)

    answer = of_trio.change(1, number=NEW_PHONE)

    assert proxy_of(answer) == before[1]
    assert (answer.json()["position"], answer.json()["number"], answer.json()["label"]) == (1, NEW_PHONE, "Bob")
    assert proxies(trio) == before
    assert text(client, NEW_PHONE, before[1], "New phone").outcome == "relayed"
    assert messages_to(ALICE) == messages_to(CHARLIE) == ["Bob: New phone"]
    text(client, ALICE, before[0], "Hi")
    assert messages_to(NEW_PHONE) == ["Alice: Hi"]
    assert messages_to(BOB) == []
    assert counts_are_right()


def test_the_old_phone_is_out_at_once(client, trio, of_trio):
    of_trio.change(1, number=NEW_PHONE)

    assert explain_and_send(client, BOB, proxies(trio)[1]).outcome == "ended"
    assert messages_to(ALICE) == []


def test_the_new_phone_gets_another_number_if_it_has_that_one_in_another_conversation(trio, of_trio):
    taken = members(trio)[1].proxy_number
    talk(NEW_PHONE, DORA)
    Participant.objects.filter(real_number=person(NEW_PHONE)).update(proxy_number=taken)

    given = proxy_of(of_trio.change(1, number=NEW_PHONE))

    assert given != taken.number
    assert proxies(trio)[1] == given


def test_the_new_phone_gets_another_number_if_that_one_is_going_out_of_service(trio, of_trio):
    number = members(trio)[1].proxy_number
    number.drain(reason="test")

    assert proxy_of(of_trio.change(1, number=NEW_PHONE)) != number.number
    assert counts_are_right()


def test_the_new_phone_gets_the_confirmation_unless_it_is_not_wanted(trio, of_trio):
    of_trio.change(1, number=NEW_PHONE, notify=True)
    of_trio.change(1, number=DORA, notify=False)

    confirmation = OutboundMessage.objects.get(kind="confirmation")
    assert confirmation.recipient == person(NEW_PHONE)
    assert "Alice and Charlie" in confirmation.text


def test_a_confirmation_that_failed_to_reach_the_old_phone_says_nothing_of_the_new_one(api, carrier, trio, of_trio):
    carrier.script = [PermanentFailure("barred")]
    of_trio.change(1, number=NEW_PHONE, notify=True)
    work()
    assert api.get(f"{URL}{trio.public_id}/").json()["notify_failed"] is True

    of_trio.change(1, number=DORA, notify=False)

    shown = api.get(f"{URL}{trio.public_id}/").json()
    assert (shown["notify_status"], shown["notify_failed"]) == ("none", False)
    assert shown["participants"][1]["confirmation"] == {"status": "none", "at": None}
    assert vars(Conversation.objects.with_failed_confirmations().get())["notify_failed"] is False


def test_what_is_queued_for_the_old_phone_goes_to_the_new_one_in_its_order(client, carrier, trio, of_trio):
    for words in ("first", "second"):
        text(client, ALICE, proxies(trio)[0], words)

    of_trio.change(1, number=NEW_PHONE)
    text(client, ALICE, proxies(trio)[0], "third")
    work()

    theirs = [sent.text for sent in carrier.sent if sent.recipient == NEW_PHONE]
    assert theirs == ["Alice: first", "Alice: second", "Alice: third"]
    assert not [sent for sent in carrier.sent if sent.recipient == BOB]


def test_our_own_texts_about_the_old_phone_are_cancelled(trio, of_trio):
    [notice] = queue(members(trio)[1], "Text me at your new number")

    of_trio.change(1, number=NEW_PHONE)

    assert state_of(notice) == "cancelled"


def test_a_text_that_was_being_sent_to_the_old_phone_is_not_sent_to_it_again(carrier, trio, of_trio):
    [message] = queue(members(trio)[1], "hello")
    OutboundMessage.objects.update(state="sending", attempts=1)
    of_trio.change(1, number=NEW_PHONE)
    assert state_of(message) == "sending"

    message.retry(after=0, reason="the carrier was busy")
    work()

    assert state_of(message) == "failed"
    assert carrier.sent == []


def test_a_number_of_the_old_phone_that_was_replaced_before_is_out_as_well(client, trio, of_trio):
    bob = members(trio)[1]
    old = bob.proxy_number.number
    replace_number_of(bob)

    of_trio.change(1, number=NEW_PHONE)

    assert text(client, BOB, old).outcome == "ended"


def test_a_person_may_go_back_to_their_old_phone_with_the_same_number(client, trio, of_trio, time_machine):
    before = proxies(trio)[1]
    of_trio.change(1, number=NEW_PHONE)
    later(time_machine, 3600)

    assert proxy_of(of_trio.change(1, number=BOB)) == before

    assert text(client, BOB, before).outcome == "relayed"
    assert text(client, NEW_PHONE, before).outcome == "ended"
    assert counts_are_right()


def test_phone_label_and_direction_change_at_once(trio, of_trio):
    answer = of_trio.change(1, number=NEW_PHONE, label="Driver", one_way=True).json()

    assert [answer[name] for name in ("number", "label", "one_way")] == [NEW_PHONE, "Driver", True]


def test_the_phone_that_they_have_already_changes_nothing_and_the_rest_does(trio, of_trio):
    answer = of_trio.change(1, number=BOB, label="Driver")

    assert (answer.status_code, answer.json()["label"]) == (200, "Driver")
    assert trio.participants.count() == 3
    assert trio.events.first().reason == "participant 1 was changed: label"


def test_a_new_phone_passes_the_checks_of_a_creation(trio, of_trio):
    people = RealNumber.objects.get_or_create_many([NEW_PHONE, DORA])
    people[NEW_PHONE].opt_out(reason="texted STOP")
    block_pair(person(ALICE), people[DORA], reason="threats", actor="sam")

    is_refused(of_trio.change(1, number=NEW_PHONE), 409, "opted_out")
    is_refused(of_trio.change(1, number=DORA), 409, "blocked")
    is_refused(of_trio.change(1, number=CHARLIE), 409, "already_participant")
    is_refused(of_trio.change(1, number="+447700900500"), 400, "virtual_number")
    assert proxies(trio) == [each.proxy_number.number for each in members(trio)]
    assert [each.real_number.number for each in members(trio)] == [ALICE, BOB, CHARLIE]


def test_a_closed_conversation_reopens_with_the_new_phone(trio, of_trio):
    of_trio.change(1, number=NEW_PHONE)
    closed = Conversation.objects.get(pk=trio.pk).close()

    closed.reopen()

    assert [each.real_number.number for each in members(trio)] == [ALICE, NEW_PHONE, CHARLIE]
    assert not Participant.objects.current().filter(release_at__isnull=False).exists()


def test_no_notice_about_a_lost_text_goes_to_the_old_phone(client, trio, of_trio):
    text(client, BOB, proxies(trio)[1], "Hello")
    of_trio.change(1, number=NEW_PHONE)

    for relay in OutboundMessage.objects.filter(kind="relay"):
        notify_sender(relay.fail(reason="the carrier refused it"))

    assert messages_to(BOB) == []
