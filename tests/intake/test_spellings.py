"""One phone, one person, however a network spells its number."""

import pytest

from conversations.delivery.relay import Relay
from conversations.insight.explain_route import explain_route
from conversations.intake import fast_path
from conversations.models import InboundMessage
from numbers.models import NumberState, RealNumber
from tests.support.builders import ALICE, BOB, add_number, add_numbers, proxies, talk
from tests.support.signing import signed_inbound

pytestmark = pytest.mark.django_db

INBOUND = "/webhooks/vonage/inbound-sms"
# As people register, and as networks send: an old plan, or a form of calls from abroad.
SPELLINGS = [
    ("+525512345678", "+5215512345678"),
    ("+5215512345678", "+525512345678"),
    ("+5491151234567", "+541151234567"),
    ("+541151234567", "+5491151234567"),
    ("+5511961234567", "+551161234567"),
    ("+2250707123456", "+22507123456"),
    ("+22997123456", "+2290197123456"),
]


@pytest.fixture(params=["fast path", "general path"])
def _path(request, monkeypatch):
    """Receive texts in both ways. On SQLite there is one, the general."""
    if request.param == "general path":
        monkeypatch.setattr(fast_path, "is_available", lambda: False)


@pytest.fixture
def text(client):
    """Return a function that receives a text, and returns its row."""

    def text(sender, to, **fields):
        params = signed_inbound(msisdn=sender[1:], to=to[1:], text="I am here", **fields)
        assert client.post(INBOUND, params, "application/json").status_code == 200
        return InboundMessage.objects.get(carrier_message_id=params["messageId"])

    return text


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize(("registered", "sent"), SPELLINGS)
def test_a_text_in_the_other_spelling_is_relayed_and_the_answer_goes_to_the_registered_one(
    text, carrier, registered, sent
):
    add_numbers(2)
    conversation = talk(registered, ALICE, geography="any")
    theirs, alices = proxies(conversation)

    message = text(sent, theirs, messageId="1")
    text(ALICE, alices, messageId="2")
    Relay().send_due()

    assert message.outcome == "relayed"
    assert message.participant == conversation.participants.get(position=0)
    assert {each.recipient for each in carrier.sent} == {ALICE, registered}
    assert RealNumber.objects.count() == 2
    assert explain_route(sent, theirs).is_passed_on


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize(("ours", "to"), SPELLINGS)
def test_a_text_to_the_other_spelling_of_a_virtual_number_reaches_it(text, ours, to):
    add_number(ours, NumberState.ACTIVE)
    assert proxies(talk(ALICE, BOB, geography="any")) == [ours, ours]

    assert text(ALICE, to, messageId="1").outcome == "relayed"
    assert explain_route(ALICE, to).virtual_number.number == ours


@pytest.mark.parametrize(("ours", "sent"), SPELLINGS)
def test_a_text_from_the_other_spelling_of_a_virtual_number_is_a_loop(text, ours, sent):
    add_number(ours, NumberState.ACTIVE)
    [number] = add_numbers(1)

    assert text(sent, number.number, messageId="1").outcome == "loop"
    assert not RealNumber.objects.exists()


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_the_parts_of_a_long_message_are_joined_in_any_spelling(text, one, other):
    add_numbers(2)
    to = proxies(talk(one, ALICE, geography="any"))[0]
    for part, sender in enumerate((one, other), start=1):
        parts = {"concat": "true", "concat_ref": "7", "concat_total": "2", "concat_part": str(part)}
        text(sender, to, messageId=f"part-{part}", **parts)

    assert InboundMessage.objects.get(carrier_message_id__startswith="long:").outcome == "relayed"


@pytest.mark.parametrize(("first", "later"), SPELLINGS)
def test_a_stranger_is_one_person_in_any_spelling(text, first, later):
    [number] = add_numbers(1)

    senders = [text(spelling, number.number, messageId=spelling).sender for spelling in (first, later)]

    assert senders[0] == senders[1]
    assert senders[1].number == first
