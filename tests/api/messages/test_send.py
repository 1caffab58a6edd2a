"""A text sent by API: as the marketplace or in the name of a participant, to all or to some."""

import pytest

from conversations.delivery.relay import Relay
from conversations.models import ApiMessage, Conversation, OutboundMessage, Participant
from conversations.retention.erase_texts import erase_old_texts
from smsproxy.carriers.base import PermanentFailure
from smsproxy.services.models import Service
from tests.support.api_requests import is_refused
from tests.support.blocks import block_alice, block_her_prefix, block_the_pair
from tests.support.builders import ALICE, BOB, CHARLIE, members, proxies
from tests.support.message_api import message_url, messages_url, send, sent, texts, thread, write
from tests.support.opt_outs import person
from tests.support.outbox import later
from tests.support.retention import DAY, pass_over

pytestmark = pytest.mark.django_db


def statuses(message):
    return [(each["participant"], each["status"]) for each in message["recipients"]]


def nothing_is_sent():
    return not (ApiMessage.objects.exists() or OutboundMessage.objects.filter(kind="api").exists())


# Who gets it ----------------------------------------------------------------------------------------------------------


def test_a_text_of_the_marketplace_reaches_everybody_from_their_own_proxy_number(api, pair, carrier):
    message = sent(send(api, pair, "Your driver has arrived."))
    Relay().send_due()

    assert (message["kind"], message["from"], message["text"]) == ("api", None, "Your driver has arrived.")
    assert statuses(message) == [(0, "queued"), (1, "queued")]
    of_alice, of_bob = proxies(pair)
    assert sorted((each.recipient, each.sender, each.text) for each in carrier.sent) == [
        (ALICE, of_alice, "Your driver has arrived."),
        (BOB, of_bob, "Your driver has arrived."),
    ]


def test_the_answer_says_where_to_read_the_message(api, pair):
    answer = send(api, pair)

    assert answer["Location"].endswith(message_url(answer.json()["id"]))
    assert api.get(answer["Location"]).json() == answer.json()


def test_a_text_reaches_only_those_who_are_named(api, group, carrier):
    message = sent(send(api, group, to=[2, 0]))
    Relay().send_due()

    assert statuses(message) == [(0, "queued"), (2, "queued")]
    assert sorted(each.recipient for each in carrier.sent) == [ALICE, CHARLIE]


def test_a_text_in_the_name_of_a_participant_reaches_the_others_as_if_they_had_texted(api, pair, group, carrier):
    message = sent(send(api, group, "on my way", author=1))
    sent(send(api, pair, "I am here", author=1))
    Relay().send_due()

    assert (message["from"], message["text"]) == (1, "on my way")
    assert sorted((each.recipient, each.text) for each in carrier.sent) == [
        (ALICE, "Bob: on my way"),
        (ALICE, "I am here"),
        (CHARLIE, "Bob: on my way"),
    ]


def test_the_other_of_two_phones_of_one_side_sees_in_whose_name_it_is_sent(api, pair, carrier):
    Participant.objects.filter(conversation=pair).update(side="shop")

    sent(send(api, pair, "I am here", author=1))
    Relay().send_due()

    assert [each.text for each in carrier.sent] == ["Bob: I am here"]


def test_texts_of_people_and_of_the_marketplace_leave_in_the_order_in_which_they_came(api, pair, carrier):
    write(ALICE, proxies(pair)[0], "one")
    sent(send(api, pair, "two", to=[1]))
    write(ALICE, proxies(pair)[0], "three")
    Relay().send_due()

    assert [each.text for each in carrier.sent] == ["one", "two", "three"]


def test_a_long_text_is_one_message_in_several_segments(api, pair, carrier):
    message = sent(send(api, pair, "😀" * 40, to=[0]))
    Relay().send_due()

    assert message["segments"] == 2
    assert [each.text for each in carrier.sent] == ["😀" * 40]


def test_a_text_restarts_the_idle_time(api, pair, time_machine):
    Conversation.objects.filter(pk=pair.pk).update(idle_ttl=3600)
    sent(send(api, pair))
    first = Conversation.objects.get().idle_at
    later(time_machine, 60)

    sent(send(api, pair))

    assert first
    assert Conversation.objects.filter(idle_at__gt=first).exists()


def test_the_marketplace_sees_a_loss_and_nobody_gets_a_notice_of_it(api, pair, carrier):
    carrier.script = [PermanentFailure("an invalid recipient", code="6")]
    sent(send(api, pair, author=0))
    Relay().send_due()

    [message] = thread(api, pair)
    assert statuses(message) == [(1, "failed")]


# Repeats --------------------------------------------------------------------------------------------------------------


def test_a_request_that_is_repeated_sends_one_text(api, pair):
    first = send(api, pair, key="one")
    again = send(api, pair, key="one")

    assert sent(first) == sent(again)
    assert again["Location"] == first["Location"]
    assert again["Idempotency-Replayed"] == "true"
    assert ApiMessage.objects.count() == 1


def test_a_key_of_another_text_is_refused(api, pair):
    sent(send(api, pair, "one", key="one"))

    is_refused(send(api, pair, "two", key="one"), 422, "idempotency_key_reused")


# Refusals -------------------------------------------------------------------------------------------------------------


def test_a_conversation_that_has_ended_takes_no_text(api, pair):
    pair.close()

    is_refused(send(api, pair), 409, "conversation_ended")
    assert nothing_is_sent()


def test_a_conversation_whose_time_is_up_takes_no_text(api, pair, time_machine):
    Conversation.objects.filter(pk=pair.pk).update(expires_at=pair.created_at)

    is_refused(send(api, pair), 409, "conversation_ended")


def test_a_conversation_on_hold_takes_no_text(api, pair):
    pair.hold(reason="staff look into it", actor="sam")

    is_refused(send(api, pair), 409, "on_hold")
    assert nothing_is_sent()


def test_a_text_to_a_person_who_opted_out_is_refused_if_they_are_named_or_alone(api, pair):
    person(BOB).opt_out(reason="texted STOP")

    for fields in ({"to": [1]}, {"to": [0, 1]}, {"author": 0}):
        body = is_refused(send(api, pair, **fields), 409, "opted_out")
        assert body["participant"] == 1
    assert nothing_is_sent()


def test_a_person_who_opted_out_is_skipped_if_others_get_the_text(api, group, carrier):
    person(BOB).opt_out(reason="texted STOP")

    message = sent(send(api, group))
    Relay().send_due()

    assert statuses(message) == [(0, "queued"), (1, "cancelled"), (2, "queued")]
    skipped = message["recipients"][1]
    assert skipped["error"] == {"class": "opted_out", "code": ""}
    assert sorted(each.recipient for each in carrier.sent) == [ALICE, CHARLIE]


def test_nothing_is_sent_in_the_name_of_a_person_who_opted_out(api, pair):
    person(ALICE).opt_out(reason="texted STOP")

    is_refused(send(api, pair, author=0), 409, "opted_out")


@pytest.mark.parametrize("block", [block_alice, block_her_prefix])
def test_nothing_is_sent_in_the_name_of_a_blocked_person(api, pair, block):
    block()

    assert is_refused(send(api, pair, author=0), 409, "blocked")["participant"] == 0
    sent(send(api, pair, to=[0]))


def test_a_block_of_another_service_changes_nothing(api, pair):
    block_alice(service_id=Service.objects.create(name="another").pk)

    assert statuses(sent(send(api, pair, author=0))) == [(1, "queued")]


def test_the_other_of_a_blocked_pair_is_skipped_in_a_group_and_refused_alone(api, pair, group):
    block_the_pair()

    assert statuses(sent(send(api, group, author=0))) == [(1, "cancelled"), (2, "queued")]
    assert is_refused(send(api, pair, author=0), 409, "blocked")["participant"] == 1


def test_a_block_cancels_what_is_queued_in_the_name_of_the_blocked_person(api, pair):
    for block in (block_alice, block_the_pair, block_her_prefix):
        ours = sent(send(api, pair, to=[1]))
        theirs = OutboundMessage.objects.filter(api_message__author__position=0)
        assert not theirs.filter(state="queued").exists()
        message = sent(send(api, pair, author=0))

        row = block()

        for each, status in ((message, "cancelled"), (ours, "queued")):
            assert statuses(api.get(message_url(each["id"])).json()) == [(1, status)]
        row.end(reason="it was a mistake", actor="sam")


def test_a_person_who_only_receives_may_not_be_the_author(api, pair):
    Participant.objects.filter(pk=members(pair)[0].pk).update(one_way=True)

    is_refused(send(api, pair, author=0), 409, "receives_only")
    assert statuses(sent(send(api, pair, to=[0]))) == [(0, "queued")]


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"text": ""}, "/text", "blank"),
        ({"text": " \n "}, "/text", "blank"),
        ({"text": 7}, "/text", "not_a_string"),
        ({"text": "a\0b"}, "/text", "null_characters_not_allowed"),
        ({"to": []}, "/to", "min_length"),
        ({"to": ["0"]}, "/to/0", "not_an_integer"),
        ({"to": [0, 0]}, "/to", "same_participant_twice"),
        ({"to": [0, 7]}, "/to/1", "no_participant"),
        ({"to": [0], "from": 0}, "/to/0", "sent_to_author"),
        ({"from": 7}, "/from", "no_participant"),
        ({"from": True}, "/from", "not_an_integer"),
        ({"sender": 1}, "/sender", "unknown_field"),
    ],
)
def test_a_wrong_field_is_named(api, pair, fields, pointer, code):
    body = is_refused(send(api, pair, **({"text": "hi"} | fields)), 400, code)

    # DRF numbers the entries of a list that are wrong.
    assert [(error["pointer"], error["code"]) for error in body["errors"]] == [(pointer, code)]
    assert nothing_is_sent()


def test_half_of_a_surrogate_pair_is_refused(api, pair):
    answer = api.post(messages_url(pair), b'{"text": "\\ud83d"}', content_type="application/json")

    is_refused(answer, 400, "surrogate_characters_not_allowed")


def test_a_text_of_too_many_segments_is_refused_with_figures(api, pair, settings):
    settings.MAX_SEGMENTS = 2

    body = is_refused(send(api, pair, "x" * 400), 400, "too_long")

    assert (body["segments"], body["max_segments"]) == (3, 2)
    assert body["errors"][0]["pointer"] == "/text"


def test_a_text_over_the_limit_of_the_conversation_is_refused_until_later(api, pair, settings, time_machine):
    settings.MESSAGES_PER_CONVERSATION_MINUTE = 2
    time_machine.move_to(pair.created_at, tick=False)
    sent(send(api, pair, "one"))
    write(ALICE, proxies(pair)[0], "two")

    answer = send(api, pair, "three")

    is_refused(answer, 429, "over_limit")
    assert int(answer["Retry-After"]) > 0
    assert set(texts(api, pair)) == {"one", "two"}


def test_a_text_in_the_name_of_a_person_counts_for_their_limit(api, pair, settings, time_machine):
    settings.MESSAGES_PER_PERSON_MINUTE = 1
    time_machine.move_to(pair.created_at, tick=False)
    sent(send(api, pair, author=0))

    is_refused(send(api, pair, author=0), 429, "over_limit")
    sent(send(api, pair))


def test_a_service_sends_a_limited_number_of_texts_a_day_to_all_recipients_together(api, group, settings, time_machine):
    settings.API_MESSAGES_PER_SERVICE_DAY = 5
    time_machine.move_to(group.created_at, tick=False)
    sent(send(api, group))

    is_refused(send(api, group), 429, "over_limit")

    sent(send(api, group, author=0))


def test_a_key_of_another_service_sends_nothing(other_api, pair):
    is_refused(send(other_api, pair), 404, "not_found")
    assert nothing_is_sent()


# Retention ------------------------------------------------------------------------------------------------------------


def test_the_text_is_erased_in_every_table(api, pair, settings, time_machine, carrier):
    settings.TEXT_RETENTION_SECONDS = DAY
    sent(send(api, pair, "the code is 1234"))
    Relay().send_due()
    later(time_machine, DAY + 1)

    while erase_old_texts():
        pass

    stored = [*ApiMessage.objects.values_list("text"), *OutboundMessage.objects.values_list("text")]
    assert stored == [("",)] * 3


def test_the_message_goes_after_its_retention_time_with_its_legs(api, pair, settings, time_machine, carrier):
    settings.MESSAGE_RETENTION_SECONDS = 365 * DAY
    sent(send(api, pair))
    Relay().send_due()
    later(time_machine, 364 * DAY)
    pass_over()
    assert ApiMessage.objects.count() == 1

    later(time_machine, 3 * DAY)
    while pass_over():
        pass

    assert nothing_is_sent()
