import json
import warnings
from contextlib import suppress
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vonage_http_client import Auth

from smsproxy.carriers.base import BadSignature
from smsproxy.carriers.vonage.signature import CLOCK_SKEW, collect, sign, verify
from tests.support.signing import payload

SECRET = "mySignatureSecret0123456789abcdef"
METHODS = ["md5hash", "md5", "sha1", "sha256", "sha512"]
NOW = 1795327205.0

# Computed with version 3.17.4 and version 4.9.1 of Vonage's SDK, and with hashlib and hmac alone.
VECTORS = {
    ("inbound", "md5hash"): "6d09b543c5c6821608a1bc183c572240",
    ("inbound", "md5"): "e2ba961f9c47d72a058b0586c5170f0d",
    ("inbound", "sha1"): "ef230e230fb00a26dfef35acc7b5afaae250c05e",
    ("inbound", "sha256"): "bb85e0f1468331d59bca884174226ae6064f2fb3e9cac92f50afd93303a5a671",
    ("inbound", "sha512"): (
        "6ec6488db6ce1f08aff5776d1e8ec2291c17d7dd40aae44ba950a938709f0304"
        "ca3c1cadfa906e25129621085f1ce3061dc16c937a1dc3d2f99640353bdfd45e"
    ),
    ("receipt", "md5hash"): "14f95d1c2b8dba3d49ed86b46716252a",
    ("receipt", "md5"): "1bd4491f064ff3ed5887fa32fdedfa24",
    ("receipt", "sha256"): "1dc5592bc23879f2911ac5acb215d2cb8dba84b497a53833775fbc9bec18534d",
    ("receipt", "sha512"): (
        "42e11ddc6ee4f9ccdc09c1b2d48f6d0085577c0d544015a555ec30e82541a01a"
        "a89a2ad06a3550eed61d2d7f7c8dfffdcf575a16debd79b305b03b8993afd4d1"
    ),
}


def check(params, *, secrets=(SECRET,), method="sha256", max_age=3600, now=NOW):
    verify(params, secrets=secrets, method=method, max_age=max_age, now=now)


def reason(params, **options):
    with pytest.raises(BadSignature) as caught:
        check(params, **options)
    return caught.value.reason


def inbound(**changes):
    params = {**payload("inbound"), **changes}
    return {**params, "sig": sign(params, SECRET, "sha256")}


@pytest.mark.parametrize(("name", "method"), VECTORS)
def test_each_method_signs_as_vonage_does(name, method):
    assert sign(payload(name), SECRET, method) == VECTORS[name, method]


@pytest.mark.parametrize(("name", "method"), VECTORS)
def test_upper_case_hex_as_vonage_writes_it_is_verified(name, method):
    check({**payload(name), "sig": VECTORS[name, method].upper()}, method=method)


@pytest.mark.parametrize("method", ["md5", "sha1", "sha256", "sha512"])
@pytest.mark.parametrize("name", ["inbound", "inbound_part", "receipt"])
def test_the_official_sdk_agrees(name, method):
    params = payload(name)
    sdk = Auth(api_key="abcd1234", signature_secret=SECRET, signature_method=method)

    assert sdk.check_signature({**params, "sig": sign(params, SECRET, method)})


def test_any_of_several_secrets_verifies():
    params = inbound()

    check(params, secrets=["the new one", SECRET])
    check(params, secrets=[SECRET, "the old one"])

    assert reason(params, secrets=["the new one"]) == "wrong"
    assert reason(params, secrets=[]) == "wrong"


@pytest.mark.parametrize("method", [method for method in METHODS if method != "sha256"])
def test_a_signature_by_another_method_is_wrong(method):
    params = payload("inbound")

    assert reason({**params, "sig": sign(params, SECRET, method)}) == "wrong"


@pytest.mark.parametrize(
    "change", [{"text": "Tom"}, {"to": "447700900009"}, {"extra": ""}, {"timestamp": "1795327201"}]
)
def test_a_changed_parameter_makes_the_signature_wrong(change):
    assert reason({**inbound(), **change}) == "wrong"


@pytest.mark.parametrize(("params", "expected"), [({"x": "1"}, "stray"), ({"message_uuid": "a1"}, "missing")])
def test_an_unsigned_request_without_the_fields_of_vonage_is_a_scanner_s(params, expected):
    assert reason(params) == expected


@pytest.mark.parametrize("field", ["sig", "timestamp"])
@pytest.mark.parametrize("absent", [True, False])
def test_signature_and_timestamp_are_required(field, absent):
    params = inbound()
    if absent:
        del params[field]
    else:
        params[field] = ""

    assert reason(params) == "missing"


def test_a_timestamp_may_be_as_old_as_the_limit():
    check(inbound(timestamp=str(int(NOW) - 3600)))

    assert reason(inbound(timestamp=str(int(NOW) - 3601))) == "too_old"


def test_a_timestamp_may_be_slightly_in_the_future():
    check(inbound(timestamp=str(int(NOW) + CLOCK_SKEW)))

    assert reason(inbound(timestamp=str(int(NOW) + CLOCK_SKEW + 1))) == "from_the_future"


def test_an_old_timestamp_is_reported_only_after_a_correct_signature():
    assert reason({**inbound(timestamp="1"), "sig": "0" * 64}) == "wrong"


@pytest.mark.parametrize("timestamp", ["9" * 5000, "٣٤٥", "1e9", "-1", " 1", "1\n", "1795327200.5", "²"])
def test_a_timestamp_that_is_not_plain_seconds_is_rejected(timestamp):
    assert reason(inbound(timestamp=timestamp)) == "bad_timestamp"


@pytest.mark.parametrize("key", ["network_code", "message.id", "a_1.b-c", "x_"])
def test_keys_may_hold_underscores_and_dots(key):
    check(inbound(**{key: "23410"}))


@pytest.mark.parametrize(
    "key", ["a=1&b", "a_b=1", "a_b&c", "_a", ".a", "", "1a", "a b", "é", "message-timestamp\n", "a&b", "msg[0]"]
)
def test_malformed_keys_are_rejected(key):
    assert reason(inbound(**{key: "x"})) == "bad_key"


def test_fields_cannot_be_hidden_in_a_key():
    honest = {"a": "1", "b": "2", "timestamp": str(int(NOW))}
    forged = {"a=1&b": "2", "timestamp": str(int(NOW))}
    assert sign(honest, SECRET, "sha256") == sign(forged, SECRET, "sha256")

    assert reason({**forged, "sig": sign(honest, SECRET, "sha256")}) == "bad_key"


@pytest.mark.parametrize("value", [True, False, None, 1.0, ["x"], {"x": "y"}, b"x", pytest.param(10**5000, id="huge")])
@pytest.mark.parametrize("field", ["text", "sig", "timestamp"])
def test_only_strings_and_integers_are_valid_values(field, value):
    assert reason({**inbound(), field: value}) == "bad_value"


def test_a_json_integer_is_signed_as_its_digits():
    check({**inbound(), "timestamp": 1795327200})


@pytest.mark.parametrize("sig", ["é" * 64, "\ud800" * 64, "x", "\x00", "K" * 64])
def test_a_signature_that_is_not_hex_is_wrong(sig):
    assert reason({**inbound(), "sig": sig}) == "wrong"


def test_half_a_surrogate_pair_in_a_text_can_be_signed():
    check(inbound(text="broken \ud83d emoji"))


def test_parameters_are_collected_from_a_form():
    assert collect([("text", ""), ("to", "1"), ("count", 3)]) == {"text": "", "to": "1", "count": "3"}


def test_a_repeated_key_is_rejected():
    with pytest.raises(BadSignature) as caught:
        collect([("status", "failed"), ("status", "delivered")])

    assert caught.value.reason == "repeated_key"


def test_a_repeated_key_in_json_is_rejected():
    with pytest.raises(BadSignature) as caught:
        json.loads('{"status": "failed", "status": "delivered"}', object_pairs_hook=collect)

    assert caught.value.reason == "repeated_key"


@pytest.mark.parametrize("body", ['{"a": {"b": "c"}}', '{"a": [1]}', '{"a": null}', '{"a": 1.5}'])
def test_json_values_of_other_types_are_rejected(body):
    with pytest.raises(BadSignature) as caught:
        json.loads(body, object_pairs_hook=collect)

    assert caught.value.reason == "bad_value"


surrogates = st.text(st.characters(exclude_categories=[]), max_size=20)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | surrogates | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(surrogates, inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from(["sig", "timestamp", "text", "to", "messageId"]) | surrogates


@given(st.dictionaries(keys, anything, max_size=6), st.sampled_from(METHODS))
def test_no_input_crashes_the_verifier(params, method):
    with pytest.raises(BadSignature):
        check(params, method=method)


@given(st.lists(st.tuples(keys, anything), max_size=6))
def test_no_input_crashes_the_parameter_collector(pairs):
    try:
        collected = collect(pairs)
    except BadSignature:
        return
    assert all(isinstance(value, str) for value in collected.values())


@given(
    st.dictionaries(st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,10}", fullmatch=True), surrogates, max_size=6),
    surrogates,
    st.sampled_from(METHODS),
)
def test_our_own_signatures_verify(params, secret, method):
    params = {**params, "timestamp": str(int(NOW))}
    params["sig"] = sign(params, secret, method)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(params, secrets=[secret], method=method)


parameters = st.dictionaries(
    st.from_regex(r"[ab][ab_.-]{0,3}", fullmatch=True), st.text("ab_.-&=", max_size=5), min_size=1, max_size=4
)


def as_signed(params):
    """Return the parameters with their values as they are signed, in which "&", "=" and "_" are the same."""
    return {key: value.replace("&", "_").replace("=", "_") for key, value in params.items()}


def resplit(signed):
    """Yield every reading of a signed text as one or two parameters."""
    places = [place for place, character in enumerate(signed) if character in "&=_"]
    for chosen in [*combinations(places, 1), *combinations(places, 3)]:
        cuts = zip([-1, *chosen], [*chosen, len(signed)], strict=True)
        pieces = [signed[start + 1 : end] for start, end in cuts]
        yield list(zip(pieces[::2], pieces[1::2], strict=True))


@given(parameters)
def test_a_signed_text_cannot_be_read_as_other_parameters(params):
    honest, signature = as_signed(params), sign(params, SECRET, "sha256")
    for pairs in resplit("&".join(f"{key}={honest[key]}" for key in sorted(honest))):
        with suppress(BadSignature):
            forged = collect(pairs)
            assert as_signed(forged) == honest or sign(forged, SECRET, "sha256") != signature


def test_an_underscore_in_a_value_can_be_exchanged_which_is_a_weakness_of_the_carrier():
    honest = inbound(text="Tom & Jerry")

    check({**honest, "text": "Tom _ Jerry"})
    check({**honest, "text": "Tom = Jerry"})
