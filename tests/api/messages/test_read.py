"""The messages of a conversation, read by API: both legs, what became of each, and nothing of other conversations."""

from datetime import datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations.delivery.relay import Relay
from conversations.models import InboundMessage, OutboundMessage, OutboundPart
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.carriers.base import PermanentFailure, RecipientOptedOut, SendReply, SentPart
from tests.support.api_requests import is_refused
from tests.support.blocks import block_alice
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, members, proxies, replace_number_of, talk
from tests.support.long_messages import params
from tests.support.message_api import (
    INBOUND,
    message_url,
    messages_url,
    page,
    report,
    send,
    sent,
    texts,
    thread,
    write,
)
from tests.support.opt_outs import person
from tests.support.outbox import later

pytestmark = pytest.mark.django_db


def relay():
    return OutboundMessage.objects.get(kind="relay")


def priced(text):
    return SendReply(parts=(SentPart(carrier_message_id="part-1", price=Decimal("0.0333")),))


def only(api, conversation):
    [message] = thread(api, conversation)
    return message


def error_of(api, conversation):
    [recipient] = only(api, conversation)["recipients"]
    return recipient["status"], recipient["error"]


# What a message shows -------------------------------------------------------------------------------------------------


def test_a_relayed_text_shows_its_author_its_recipient_and_its_whole_way(api, pair, carrier):
    carrier.script = [priced]
    write(ALICE, proxies(pair)[0], "see you at 7")
    Relay().send_due()
    report(relay())

    message = only(api, pair)

    [recipient] = message.pop("recipients")
    assert datetime.fromisoformat(message.pop("created_at"))
    assert message.pop("id") == only(api, pair)["id"]
    assert message == {
        "conversation_id": str(pair.public_id),
        "kind": "text",
        "from": 0,
        "outcome": "relayed",
        "text": "see you at 7",
        "missing_parts": 0,
        "segments": 1,
        "price": "0.03330",
    }
    times = [recipient.pop(name) for name in ("queued_at", "sent_at", "settled_at")]
    assert times == sorted(times)
    assert all(time.endswith("Z") for time in times)
    assert recipient == {
        "participant": 1,
        "status": "delivered",
        "segments": 1,
        "price": "0.03330",
        "error": None,
    }


def test_a_queued_text_has_no_price_and_no_further_times_yet(api, pair):
    write(ALICE, proxies(pair)[0])

    message = only(api, pair)

    [recipient] = message["recipients"]
    assert message["price"] is None
    assert [recipient[name] for name in ("status", "price", "sent_at", "settled_at")] == ["queued", None, None, None]


def test_no_answer_shows_a_real_number(api, pair, carrier):
    write(ALICE, proxies(pair)[0])
    sent(send(api, pair))
    Relay().send_due()

    shown = api.get(messages_url(pair)).content.decode()

    assert ALICE[1:] not in shown
    assert BOB[1:] not in shown


def test_in_a_group_each_recipient_has_a_status_of_their_own(api, group, carrier):
    def refuse_charlie(text):
        if text.recipient == CHARLIE:
            raise PermanentFailure("an invalid recipient", code="6")
        return carrier.accept(text)

    carrier.script = [refuse_charlie] * 2
    write(BOB, proxies(group)[1], "on my way")
    Relay().send_due()

    message, _notice = thread(api, group)

    assert message["from"] == 1
    assert message["text"] == "on my way"
    assert [(each["participant"], each["status"]) for each in message["recipients"]] == [(0, "sent"), (2, "failed")]


def test_a_text_that_nobody_received_shows_why(api, pair):
    pair.hold(reason="staff look into it", actor="sam")
    write(ALICE, proxies(pair)[0], "hello?")

    message = only(api, pair)

    assert (message["outcome"], message["recipients"], message["price"]) == ("held", [], "0.00000")


def test_a_late_text_and_the_answer_to_it_stay_in_the_conversation_that_has_ended(api, pair, settings):
    pair.close()
    write(ALICE, proxies(pair)[0], "one more thing")

    late, answer = thread(api, pair)

    assert (late["kind"], late["from"], late["outcome"]) == ("text", 0, "ended")
    assert (answer["kind"], answer["from"], answer["text"]) == ("notice", None, settings.ENDED_NOTICE)
    assert [each["participant"] for each in answer["recipients"]] == [0]


def test_a_confirmation_and_the_answer_to_a_keyword_are_messages_too(api, pair, settings):
    conversation = talk(ALICE, BOB, notify=True)
    write(BOB, proxies(conversation)[1], "HELP")

    kinds = [(each["kind"], each["outcome"]) for each in thread(api, conversation)]

    confirmation = ("confirmation", None)
    assert kinds == [confirmation, confirmation, ("text", "keyword"), ("keyword_answer", None)]


def test_the_others_are_told_of_an_opt_out_in_the_conversation(api, pair):
    write(BOB, proxies(pair)[1], "STOP")

    told = [(each["kind"], [leg["participant"] for leg in each["recipients"]]) for each in thread(api, pair)]

    assert told == [("text", []), ("notice", [0]), ("keyword_answer", [1])]


def test_a_long_text_is_one_message_and_its_parts_are_none(api, pair, client, time_machine):
    to = proxies(pair)[0]
    for part in (1, 3):
        client.post(INBOUND, params("x" * 150, part, 3, to=to), "application/json")
    later(time_machine, 3600)
    run_jobs()

    message = only(api, pair)

    assert message["missing_parts"] == 1
    assert message["segments"] == 3
    parts = InboundMessage.objects.filter(outcome="part")
    assert parts.count() == 2


def test_a_text_is_null_after_its_erasure(api, pair, settings, time_machine, carrier):
    settings.TEXT_RETENTION_SECONDS = 3600
    write(ALICE, proxies(pair)[0], "the code is 1234")
    sent(send(api, pair))
    Relay().send_due()
    later(time_machine, 3601)
    run_jobs()

    assert texts(api, pair) == [None, None]


def test_a_text_that_no_key_decrypts_is_null(api, pair):
    write(ALICE, proxies(pair)[0])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE conversations_inboundmessage SET text = 'v1:not a token'")

    assert texts(api, pair) == [None]


def test_the_positions_stay_when_a_participant_gets_another_proxy_number(api, pair, carrier):
    write(ALICE, proxies(pair)[0], "before")
    Relay().send_due()
    replace_number_of(members(pair)[0])
    write(ALICE, proxies(pair)[0], "after")

    shown = [(each["text"], each["from"]) for each in thread(api, pair) if each["kind"] == "text"]

    assert shown == [("before", 0), ("after", 0)]


# Errors ---------------------------------------------------------------------------------------------------------------


def test_a_refused_text_shows_the_class_of_the_error_and_the_carriers_code(api, pair, carrier, settings):
    settings.UNDELIVERED_NOTICE = ""
    carrier.script = [PermanentFailure("an invalid recipient", code="6")]
    write(ALICE, proxies(pair)[0])
    Relay().send_due()

    assert error_of(api, pair) == ("failed", {"class": "refused", "code": "6"})
    assert only(api, pair)["price"] == "0.00000"


def test_a_text_to_a_barred_person_shows_that_they_opted_out(api, pair, carrier, settings):
    settings.UNDELIVERED_NOTICE = ""
    carrier.script = [RecipientOptedOut("the recipient is barred", code="7")]
    write(ALICE, proxies(pair)[0])
    Relay().send_due()

    assert error_of(api, pair) == ("failed", {"class": "opted_out", "code": "7"})


@pytest.mark.parametrize(("code", "error"), [("1", "network"), ("2", "recipient"), ("9", "opted_out")])
def test_an_undelivered_text_shows_whether_the_phone_or_the_network_is_at_fault(
    api, pair, carrier, settings, code, error
):
    settings.UNDELIVERED_NOTICE = ""
    write(ALICE, proxies(pair)[0])
    Relay().send_due()
    report(relay(), "failed", code)

    assert error_of(api, pair) == ("undelivered", {"class": error, "code": code})


def test_a_text_that_waited_too_long_has_expired(api, pair, settings, time_machine):
    settings.UNDELIVERED_NOTICE = ""
    write(ALICE, proxies(pair)[0])
    later(time_machine, settings.MESSAGE_MAX_AGE_SECONDS + 1)
    run_jobs()

    assert error_of(api, pair) == ("failed", {"class": "expired", "code": ""})


def test_a_text_of_a_person_who_was_blocked_before_it_left_says_so(api, pair):
    write(ALICE, proxies(pair)[0])
    block_alice()

    assert error_of(api, pair) == ("cancelled", {"class": "blocked", "code": ""})


def test_a_text_to_a_person_who_opted_out_before_it_left_says_so(api, pair):
    write(ALICE, proxies(pair)[0])
    write(BOB, proxies(pair)[1], "STOP")

    [recipient] = thread(api, pair)[0]["recipients"]

    assert (recipient["status"], recipient["error"]["class"]) == ("cancelled", "opted_out")


def test_a_text_that_staff_withdraw_is_cancelled(api, pair):
    write(ALICE, proxies(pair)[0])
    relay().cancel(reason="staff: do not send", actor="sam")

    assert error_of(api, pair) == ("cancelled", {"class": "cancelled", "code": ""})


# One message ----------------------------------------------------------------------------------------------------------


def test_each_message_can_be_read_by_its_id(api, pair):
    write(ALICE, proxies(pair)[0])
    sent(send(api, pair))
    pair.close()
    write(BOB, proxies(pair)[1], "wait")
    listed = thread(api, pair)
    assert [each["kind"] for each in listed] == ["text", "api", "text", "notice"]

    for message in listed:
        answer = api.get(message_url(message["id"]))
        assert (answer.status_code, answer.json()) == (200, message)


def test_what_is_not_a_message_of_the_service_is_not_found(api, other_api, pair):
    write(ALICE, proxies(pair)[0])
    sent(send(api, pair))
    write(STRANGER, proxies(pair)[0])

    for message in thread(api, pair):
        is_refused(other_api.get(message_url(message["id"])), 404, "not_found")
    is_refused(other_api.get(messages_url(pair)), 404, "not_found")
    is_refused(api.get(message_url("0f8fad5b-d9cb-469f-a165-70867728950e")), 404, "not_found")
    is_refused(api.get(message_url("7")), 404, "not_found")


def test_a_conversation_shows_only_its_own_messages(api, pair):
    other = talk(ALICE, BOB)
    write(ALICE, proxies(pair)[0], "here")
    write(ALICE, proxies(other)[0], "there")
    sent(send(api, other, "everywhere"))

    assert texts(api, pair) == ["here"]
    assert texts(api, other) == ["there", "everywhere"]


def test_an_opt_out_that_is_settled_hides_nothing_from_the_thread(api, pair):
    person(BOB).opt_out(reason="texted STOP")
    write(ALICE, proxies(pair)[0], "anybody there?")

    shown = [(each["kind"], each["outcome"]) for each in thread(api, pair)]

    assert shown == [("text", "opted_out"), ("notice", None)]


def test_a_page_costs_the_same_queries_for_one_message_as_for_many(api, group, carrier):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            page(api, group, page_size=200)
        return len(captured)

    write(ALICE, proxies(group)[0])
    sent(send(api, group))
    Relay().send_due()
    few = queries()
    for index in range(10):
        write(ALICE, proxies(group)[0], f"text {index}")
        sent(send(api, group))
    Relay().send_due()

    assert OutboundPart.objects.count() > 50
    assert queries() == few
    assert few < 16
