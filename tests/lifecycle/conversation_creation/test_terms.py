"""The options of a new conversation: its texts, metadata and end. The answer echoes everything that was asked for."""

import json
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from conversations.models import Conversation, OutboundMessage
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import Pool
from smsproxy.services.models import Service
from tests.support.api_requests import URL, asked_for, client_of, given, nothing_exists, of_pool
from tests.support.builders import add_numbers
from tests.support.outbox import later

DAY = 24 * 3600
METADATA = {"order": 42, "route": ["Ufer", "Zoo"], "vip": True, "note": "für Käthe 🚕", "nothing": None, "share": 0.25}

pytestmark = pytest.mark.django_db


@pytest.fixture
def create(api):
    """Return a function that posts a request with these options for Alice and Bob."""
    add_numbers(6)
    return lambda **options: api.post(URL, json.dumps(asked_for(**options)), content_type="application/json")


def is_wrong(answer, pointer, code):
    assert answer.status_code == 400, answer.content
    assert (pointer, code) in [(error["pointer"], error["code"]) for error in answer.json()["errors"]]
    assert nothing_exists()
    return True


def test_the_answer_echoes_everything_that_was_asked_for(create):
    of_pool("berlin", 2, start="+4477009006")
    options = {
        "reference": "order-42",
        "unique_reference": True,
        "ttl": 600,
        "idle_ttl": 300,
        "notify": False,
        "pool": "berlin",
        "geography": "any",
        "stickiness": "avoid-sticky",
        "on_exhausted": "soft",
        "late_messages": "reopen",
        "language": "pt-BR",
        "texts": {"confirmation": "Fale com {label}", "ended": ""},
        "metadata": METADATA,
        "on_existing": "reject",
    }

    answer = create(**options)

    assert answer.status_code == 201, answer.content
    assert {name: answer.json()[name] for name in options} == options


def test_an_option_that_is_null_or_missing_is_the_default(create):
    names = ["ttl", "expires_at", "idle_ttl", "pool", "geography", "stickiness", "on_exhausted", "late_messages"]
    names += ["language", "texts", "metadata", "on_existing"]

    unnamed, null = create(), create(**dict.fromkeys(names))

    assert given(unnamed)
    assert given(null)
    assert {name: null.json()[name] for name in names} == {name: unnamed.json()[name] for name in names}


# Metadata -------------------------------------------------------------------------------------------------------------


def test_metadata_is_returned_as_it_was_and_is_not_readable_in_the_database(create):
    answer = create(metadata=METADATA)

    assert answer.json()["metadata"] == METADATA
    assert list(answer.json()["metadata"]) == list(METADATA)
    with connection.cursor() as cursor:
        cursor.execute("SELECT metadata FROM conversations_conversation")
        assert "Ufer" not in cursor.fetchone()[0]


def test_metadata_may_have_4096_bytes(create):
    length = 4096 - len('{"note":""}')

    assert create(metadata={"note": "x" * length}).status_code == 201
    assert create(metadata={"note": "x" * (length + 1)}).status_code == 400
    assert create(metadata={"note": "ü" * (length // 2 + 1)}).status_code == 400


def _nested(levels):
    return {"inner": _nested(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ("order-42", "not_an_object"),
        ([1, 2], "not_an_object"),
        (7, "not_an_object"),
        ({"note": "x" * 4100}, "too_large"),
        ({"half": "\ud83d"}, "cannot_be_stored"),
        ({"\ud83d": "half"}, "cannot_be_stored"),
        (_nested(20), "too_deep"),
    ],
)
def test_metadata_that_cannot_be_kept_is_a_400(create, metadata, code):
    assert is_wrong(create(metadata=metadata), "/metadata", code)


def test_a_number_in_metadata_that_json_cannot_express_is_a_400(api):
    body = json.dumps(asked_for()).removesuffix("}") + ', "metadata": {"share": 1e999}}'

    assert is_wrong(api.post(URL, body, content_type="application/json"), "/metadata", "cannot_be_stored")


def test_metadata_of_twenty_levels_is_returned(create):
    assert create(metadata=_nested(19)).json()["metadata"] == _nested(19)


# Texts of its own -----------------------------------------------------------------------------------------------------


def test_a_confirmation_of_its_own_replaces_that_of_the_settings(create):
    create(texts={"confirmation": "Fale com {label}"}, notify=True)

    assert {message.text for message in OutboundMessage.objects.all()} == {"Fale com the other person"}


def test_a_confirmation_that_is_empty_is_not_sent(create):
    answer = create(texts={"confirmation": ""}, notify=True)

    assert answer.json()["texts"] == {"confirmation": ""}
    assert not OutboundMessage.objects.exists()


@pytest.mark.parametrize(
    ("texts", "pointer", "code"),
    [
        ("Fale", "/texts", "not_an_object"),
        ({"goodbye": "Bye"}, "/texts/goodbye", "unknown_text"),
        ({"stop_answer": "Bye"}, "/texts/stop_answer", "unknown_text"),
        ({"ended": 7}, "/texts/ended", "not_a_string"),
        ({"ended": None}, "/texts/ended", "not_a_string"),
        ({"ended": "Ask {label}"}, "/texts/ended", "text_not_valid"),
        ({"confirmation": "Ask {name}"}, "/texts/confirmation", "text_not_valid"),
        ({"ended": "x" * 1001}, "/texts/ended", "text_not_valid"),
        ({"ended": "a\x00b"}, "/texts/ended", "text_not_valid"),
    ],
)
def test_a_text_that_is_not_valid_is_a_400_that_points_at_it(create, texts, pointer, code):
    assert is_wrong(create(texts=texts), pointer, code)


@pytest.mark.parametrize(("asked", "stored"), [("pt-BR", "pt-BR"), ("PT-br", "pt-BR"), ("zh-hant", "zh-Hant")])
def test_a_language_is_echoed_in_its_usual_spelling(create, asked, stored):
    assert create(language=asked).json()["language"] == stored


@pytest.mark.parametrize("language", ["portuguese!", "p", "pt_BR", "en-GB-oed-x-y", "ü"])
def test_an_unknown_language_is_a_400(create, language):
    assert is_wrong(create(language=language), "/language", "no_language")


# The end --------------------------------------------------------------------------------------------------------------


def test_a_fixed_end_ends_the_conversation(api, create, time_machine):
    end = timezone.now().replace(microsecond=0) + timedelta(days=366)
    answer = create(expires_at=end.isoformat())
    assert (answer.json()["expires_at"], answer.json()["ttl"]) == (f"{end:%Y-%m-%dT%H:%M:%S}Z", None)

    later(time_machine, 366 * DAY + 5)
    run_jobs()

    shown = api.get(answer["Location"]).json()
    assert (shown["status"], shown["closed_reason"]) == ("closed", "expired")


def test_a_fixed_end_in_another_time_zone_is_shown_in_utc(create):
    end = timezone.now().replace(microsecond=0) + timedelta(days=30)
    elsewhere = end.astimezone(timezone.get_fixed_timezone(330)).isoformat()

    assert create(expires_at=elsewhere).json()["expires_at"] == f"{end:%Y-%m-%dT%H:%M:%S}Z"


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("2001-01-31T18:00:00Z", "not_in_future"),
        ("2099-01-31T18:00:00Z", "end_too_late"),
        ("9999-12-31T23:59:59Z", "end_too_late"),
        ("2099-01-31T18:00:00", "not_a_time"),
        ("2099-02-31T18:00:00Z", "not_a_time"),
        ("2099-01-31", "not_a_time"),
        ("9999-12-31T23:59:59-14:00", "not_a_time"),
        ("tomorrow", "not_a_time"),
        (4102444800, "not_a_time"),
    ],
)
def test_an_end_that_is_not_a_time_in_the_next_366_days_with_an_offset_is_a_400(create, end, code):
    assert is_wrong(create(expires_at=end), "/expires_at", code)


def test_a_ttl_beside_a_fixed_end_is_a_400(create):
    assert is_wrong(create(ttl=600, expires_at="2099-01-31T18:00:00Z"), "/expires_at", "ttl_and_expires_at")


# The defaults of the service ------------------------------------------------------------------------------------------


@pytest.fixture
def berlin(db):
    """Return a client of a service that has a default for everything."""
    of_pool("berlin", 2, start="+4477009006")
    Service.objects.create(
        name="berlin",
        pool=Pool.objects.get(name="berlin"),
        ttl=600,
        geography="same-country",
        late_messages="reopen",
        language="de",
    )
    return client_of("berlin")


def test_a_service_decides_what_the_request_leaves_open(berlin):
    add_numbers(2)

    shown = berlin.post(URL, asked_for()).json()

    assert (shown["pool"], shown["ttl"], shown["geography"]) == ("berlin", 600, "same-country")
    assert shown["late_messages"] == "reopen"
    assert 595 < (datetime.fromisoformat(shown["expires_at"]) - timezone.now()).total_seconds() <= 600


def test_a_request_has_precedence_over_its_service(berlin):
    of_pool("hamburg", 2, start="+4477009007")

    asked = asked_for(pool="hamburg", ttl=60, geography="any", late_messages="end", language="fr")
    shown = berlin.post(URL, asked).json()

    assert (shown["pool"], shown["ttl"], shown["geography"]) == ("hamburg", 60, "any")
    assert (shown["late_messages"], shown["language"]) == ("end", "fr")


def test_a_ttl_of_zero_is_no_end_also_in_a_service_that_has_one(berlin):
    shown = berlin.post(URL, asked_for(ttl=0)).json()

    assert (shown["ttl"], shown["expires_at"]) == (None, None)


def test_a_fixed_end_has_precedence_over_the_ttl_of_the_service(berlin):
    end = f"{timezone.now() + timedelta(days=300):%Y-%m-%dT%H:%M:%S}Z"
    shown = berlin.post(URL, asked_for(expires_at=end)).json()

    assert (shown["ttl"], shown["expires_at"]) == (None, end)


def test_a_conversation_belongs_to_the_service_of_its_key(api, berlin):
    created = berlin.post(URL, asked_for())

    assert Conversation.objects.get().service.name == "berlin"
    assert api.get(created["Location"]).status_code == 404


def test_a_dry_run_accepts_every_option_and_chooses_as_the_service_does(berlin):
    end = (timezone.now() + timedelta(days=300)).isoformat()
    body = asked_for(reference="a", unique_reference=True, expires_at=end, metadata=METADATA, texts={"ended": "Bye"})

    answer = berlin.post(f"{URL}dry-run/", body | {"on_existing": "return", "language": "de"})

    assert answer.status_code == 200, answer.content
    assert {each["proxy_number"][:-2] for each in answer.json()["participants"]} == {"+4477009006"}
    assert nothing_exists()
