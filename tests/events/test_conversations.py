"""The events of conversations, numbers and troubles, as an integrator reads them."""

from decimal import Decimal

import pytest

from conversations.models import OutboundPart, TroubleEpisode
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.carriers.base import SendReply, SentPart
from smsproxy.database.clock import database_now
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, replace_number_of, talk
from tests.support.feed import client_of, read, read_all, types
from tests.support.outbox import later, work
from tests.support.signing import signed_inbound

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("every_event_is_valid")]


def text(client, sender, to, message_id):
    body = signed_inbound(msisdn=sender[1:], to=to[1:], text="I am at the corner", messageId=message_id)
    client.post("/webhooks/vonage/inbound-sms", body, content_type="application/json")


def last(api):
    return read_all(api)[-1]


def test_the_end_of_a_conversation_comes_with_a_summary_of_it(client, carrier, api, time_machine):
    time_machine.move_to("2026-11-28T12:00:00Z", tick=False)
    add_numbers(3)
    conversation = talk(ALICE, BOB, CHARLIE)
    prices = [Decimal("0.0333")] * 4
    parts = [SentPart(carrier_message_id=f"part-{which}", price=price) for which, price in enumerate(prices)]
    carrier.script = [lambda text, part=part: SendReply(parts=(part,)) for part in parts]
    text(client, ALICE, proxies(conversation)[0], "in-1")
    text(client, BOB, proxies(conversation)[1], "in-2")
    work()
    message = OutboundPart.objects.get(carrier_message_id="part-0").message
    message.transition("delivered", reason="for the test")
    conversation.hold(reason="by hand")
    text(client, BOB, proxies(conversation)[1], "in-3")
    later(time_machine, 90)

    answer = api.post(f"/api/v1/conversations/{conversation.public_id}/close/", {}, format="json")

    assert answer.status_code == 200, answer.content
    event = last(api)
    assert (event["type"], event["conversation"]["id"]) == ("conversation.closed", str(conversation.public_id))
    duration = event["data"].pop("duration")
    assert 90 <= duration <= 95
    assert event["data"] == {
        "reason": "closed",
        "parties": 3,
        "texts": {"received": 3, "relayed": 4, "delivered": 1},
        "cost": "0.13320",
    }


@pytest.mark.parametrize(
    ("limit", "type_", "reason"),
    [({"ttl": 60}, "conversation.expired", "expired"), ({"idle_ttl": 60}, "conversation.idle", "idle")],
)
def test_an_end_by_time_has_a_type_of_its_own(api, time_machine, limit, type_, reason):
    add_numbers(2)
    talk(ALICE, BOB, **limit)
    later(time_machine, 61)
    run_jobs()

    event = last(api)
    assert event["type"] == type_
    assert event["data"]["reason"] == reason
    assert event["data"]["cost"] == "0.00000"


def test_a_reason_that_sounds_like_an_end_by_time_does_not_change_the_type(api):
    add_numbers(2)
    talk(ALICE, BOB).close(reason="expired")

    assert last(api)["type"] == "conversation.closed"


def test_a_reopening_of_a_conversation_whose_time_was_up_tells_both(api, time_machine):
    add_numbers(2)
    conversation = talk(ALICE, BOB, ttl=60)
    later(time_machine, 61)
    conversation.reopen()

    assert types(read_all(api))[-2:] == ["conversation.expired", "conversation.reopened"]


def test_a_participant_s_new_number_is_told(api):
    add_numbers(3)
    alice = members(talk(ALICE, BOB))[0]
    spare = replace_number_of(alice)

    event = next(each for each in read_all(api) if each["type"] == "participant.proxy_number_changed")
    assert event["data"] == {"participant": 0, "proxy_number": spare.number}
    assert event["conversation"] is not None


def test_a_trouble_is_told_when_it_begins_and_when_it_ends():
    operator = client_of(scopes="read numbers")
    now = database_now()

    assert TroubleEpisode.objects.begin("no_worker", "No worker is running.", at=now)
    assert not TroubleEpisode.objects.begin("no_worker", "No worker is running.", at=now)
    episode = TroubleEpisode.objects.get()
    assert episode.end(at=now)
    assert not episode.end(at=now)

    told = [(event["type"], event["data"]) for event in read(operator)["results"]]
    data = {"kind": "no_worker", "sentence": "No worker is running."}
    assert told == [("trouble.began", data), ("trouble.ended", data)]
