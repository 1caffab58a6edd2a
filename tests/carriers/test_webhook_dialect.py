from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsproxy.carriers.base import InboundText, Receipt, ReceiptStatus, Undecodable
from smsproxy.carriers.vonage.signature import verify
from smsproxy.carriers.vonage.webhooks import parse_inbound, parse_receipt, write_inbound, write_receipt
from tests.support.openapi_check import check_schema
from tests.support.signing import payload, signed_inbound, signed_receipt


def undecodable(parse, params):
    with pytest.raises(Undecodable) as caught:
        parse(params)
    assert "7700" not in str(caught.value)
    return caught.value.reason


def verified(params, settings):
    verify(params, secrets=settings.VONAGE_SIGNATURE_SECRETS, method=settings.VONAGE_SIGNATURE_METHOD, max_age=60)
    return True


@pytest.mark.parametrize("name", ["inbound", "inbound_part"])
def test_the_example_texts_match_vonages_description(name):
    check_schema("sms", "InboundMessage", payload(name))


def test_the_example_receipt_matches_vonages_description():
    check_schema("sms", "DeliveryReceipt", payload("receipt"))


def test_the_signing_helper_uses_the_current_time(settings):
    assert verified(signed_inbound(text="changed"), settings)
    assert verified(signed_receipt(status="failed"), settings)


def test_an_inbound_text_is_parsed():
    assert parse_inbound(payload("inbound")) == InboundText(
        carrier_message_id="0A0000000123ABCD1",
        sender="+447700900001",
        recipient="+447700900000",
        text="Tom & Jerry = fun €",
        sent_at=datetime(2026, 11, 22, 6, 0, tzinfo=UTC),
    )


def test_a_part_of_a_long_message_is_parsed():
    text = parse_inbound(payload("inbound_part"))

    assert (text.concat_ref, text.part, text.parts) == ("17", 2, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"concat-part": "4"},
        {"concat-part": "0"},
        {"concat-part": "x"},
        {"concat-part": "²"},
        {"concat-total": ""},
        {"concat-total": "1", "concat-part": "1"},
        {"concat-total": "999999"},
        {"concat-ref": ""},
        {"concat-ref": "x" * 1000},
        {"concat": "false"},
    ],
)
def test_a_text_with_invalid_part_fields_is_a_single_message(changes):
    text = parse_inbound({**payload("inbound_part"), **changes})

    assert (text.concat_ref, text.part, text.parts, text.text) == ("", 1, 1, "the second part")


def test_the_message_id_is_parsed_in_either_spelling():
    params = payload("inbound")
    params["message-id"] = params.pop("messageId")

    assert parse_inbound(params).carrier_message_id == "0A0000000123ABCD1"


@pytest.mark.parametrize("message_id", ["", "a b", "é", "x" * 65, "a\n", "\x00"])
def test_a_malformed_message_id_is_undecodable(message_id):
    assert undecodable(parse_inbound, {**payload("inbound"), "messageId": message_id})
    assert undecodable(parse_receipt, {**payload("receipt"), "messageId": message_id})


@pytest.mark.parametrize("sender", ["PARCELS", "", "12345", "1" * 16, "٤٤٧٧٠٠٩٠٠٠٠١", "+447700900001"])
def test_a_sender_that_is_not_a_number_is_none(sender):
    assert parse_inbound({**payload("inbound"), "msisdn": sender}).sender is None


@pytest.mark.parametrize("recipient", ["PARCELS", "", "12345", "447700900000\n"])
def test_a_recipient_that_is_not_a_number_is_undecodable(recipient):
    assert undecodable(parse_inbound, {**payload("inbound"), "to": recipient}) == "a recipient that is not a number"


def test_a_binary_message_is_undecodable():
    params = {**payload("inbound"), "type": "binary", "data": "00ff", "udh": "0605"}

    assert undecodable(parse_inbound, params) == "a binary message"


def test_a_missing_text_is_undecodable_but_an_empty_one_is_not():
    params = payload("inbound")
    assert parse_inbound({**params, "text": ""}).text == ""

    del params["text"]
    assert undecodable(parse_inbound, params) == "no text"


def test_unknown_and_missing_extras_are_tolerated():
    params = {**payload("inbound"), "something-new": "x"}
    for key in ("keyword", "type", "api-key", "nonce", "timestamp"):
        del params[key]

    assert parse_inbound(params).text == "Tom & Jerry = fun €"


@pytest.mark.parametrize("timestamp", ["", "yesterday", "2026-13-01 00:00:00", "2026-11-22T06:00:00Z"])
def test_an_unreadable_time_does_not_lose_the_text(timestamp):
    assert parse_inbound({**payload("inbound"), "message-timestamp": timestamp}).sent_at is None


def test_half_a_surrogate_pair_is_replaced():
    assert parse_inbound({**payload("inbound"), "text": "a\ud83db 😀"}).text == "a\ufffdb 😀"


def test_swapped_webhook_addresses_are_reported():
    assert "swapped" in undecodable(parse_inbound, payload("receipt"))
    assert "swapped" in undecodable(parse_receipt, payload("inbound"))


def test_another_accounts_webhooks_are_undecodable(settings):
    settings.CARRIER = "vonage"
    other = {"api-key": "zzzz9999"}

    assert undecodable(parse_inbound, {**payload("inbound"), **other}) == "another account"
    assert undecodable(parse_receipt, {**payload("receipt"), **other}) == "another account"
    assert parse_inbound(payload("inbound"))

    settings.VONAGE_API_KEY = ""
    assert parse_inbound({**payload("inbound"), **other})


def test_a_receipt_is_parsed():
    assert parse_receipt(payload("receipt")) == Receipt(
        carrier_message_id="0A0000001234567B", client_ref="relay-42", status=ReceiptStatus.DELIVERED, network="23410"
    )


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("accepted", ReceiptStatus.ACCEPTED),
        ("buffered", ReceiptStatus.ACCEPTED),
        ("delivered", ReceiptStatus.DELIVERED),
        ("DELIVERED", ReceiptStatus.DELIVERED),
        ("expired", ReceiptStatus.UNDELIVERED),
        ("failed", ReceiptStatus.UNDELIVERED),
        ("rejected", ReceiptStatus.UNDELIVERED),
        ("undelivered", ReceiptStatus.UNDELIVERED),
        ("deleted", ReceiptStatus.UNDELIVERED),
        ("unknown", ReceiptStatus.UNKNOWN),
        ("something new", ReceiptStatus.UNKNOWN),
        ("", ReceiptStatus.UNKNOWN),
    ],
)
def test_every_status_word_has_a_meaning(word, status):
    assert parse_receipt({**payload("receipt"), "status": word}).status is status


@pytest.mark.parametrize(("code", "kept"), [("0", ""), ("6", "6"), ("99", "99"), ("", ""), ("a b", ""), ("x" * 99, "")])
def test_only_real_error_codes_are_kept(code, kept):
    assert parse_receipt({**payload("receipt"), "err-code": code}).error_code == kept


@pytest.mark.parametrize(
    ("network", "kept"),
    [
        ("23410", "23410"),
        ("310410", "310410"),
        ("", ""),
        ("234 10", ""),
        ("２３４１０", ""),
        ("2341\n", ""),
        ("1" * 11, ""),
    ],
)
def test_a_network_code_is_kept_only_if_it_is_well_formed(network, kept):
    assert parse_receipt({**payload("receipt"), "network-code": network}).network == kept


def test_a_receipt_without_status_is_undecodable():
    params = payload("receipt")
    del params["status"]

    assert undecodable(parse_receipt, params) == "no status"


def test_a_receipt_without_client_ref_is_parsed():
    params = payload("receipt")
    del params["client-ref"]

    assert parse_receipt(params).client_ref == ""


@pytest.mark.parametrize("client_ref", ["x" * 101, "a b", "é", "a\x00"])
def test_a_malformed_client_ref_is_undecodable(client_ref):
    assert undecodable(parse_receipt, {**payload("receipt"), "client-ref": client_ref})


@pytest.mark.parametrize(
    "text",
    [
        InboundText(carrier_message_id="a1", sender="+447700900001", recipient="+447700900000", text="hello & =€"),
        InboundText(carrier_message_id="a2", sender=None, recipient="+447700900000", text=""),
        InboundText(
            carrier_message_id="a3",
            sender="+12025550100",
            recipient="+447700900000",
            text="😀",
            concat_ref="7",
            part=2,
            parts=3,
        ),
    ],
)
def test_a_written_text_webhook_is_signed_as_described_and_parses_back(text, settings):
    params = write_inbound(text)

    assert verified(params, settings)
    check_schema("sms", "InboundMessage", params)
    back = parse_inbound(params)
    assert back.sent_at is not None
    assert {**vars(back), "sent_at": None} == vars(text)


def test_a_written_text_webhook_is_unicode_only_when_needed():
    def written(body):
        return write_inbound(InboundText(carrier_message_id="a", sender=None, recipient="+447700900000", text=body))

    assert written("hello there")["type"] == "text"
    assert written("hello there")["keyword"] == "HELLO"
    assert written("привет")["type"] == "unicode"


@pytest.mark.parametrize("network", ["23410", ""])
@pytest.mark.parametrize("status", ReceiptStatus)
def test_a_written_receipt_webhook_is_signed_as_described_and_parses_back(status, network, settings):
    receipt = Receipt(carrier_message_id="a1", client_ref="relay-1", status=status, error_code="6", network=network)

    params = write_receipt(receipt, sender="+447700900100", recipient="+447700900001")

    assert verified(params, settings)
    check_schema("sms", "DeliveryReceipt", params)
    assert (params["msisdn"], params["to"]) == ("447700900001", "447700900100")
    assert parse_receipt(params) == receipt


def test_a_webhook_written_without_a_secret_is_unsigned(settings):
    settings.VONAGE_SIGNATURE_SECRETS = []

    receipt = Receipt(carrier_message_id="a1", client_ref="", status=ReceiptStatus.DELIVERED)
    params = write_receipt(receipt, sender="+447700900100", recipient="+447700900001")

    assert "sig" not in params
    assert "client-ref" not in params


texts = st.text(st.characters(exclude_categories=[]), max_size=20)
KEYS = sorted({*payload("inbound_part"), *payload("receipt")})


@given(st.dictionaries(st.sampled_from(KEYS), texts))
def test_any_strings_are_parsed_or_undecodable(changes):
    for parse, params in ((parse_inbound, payload("inbound_part")), (parse_receipt, payload("receipt"))):
        try:
            parse({**params, **changes})
        except Undecodable:
            continue
