"""Where texts may go: the countries and the types of number that a new conversation accepts."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from conversations.intake.receive import receive
from conversations.models import Conversation, InboundMessage, OutboundMessage
from conversations.trust.blocks import block_prefix
from conversations.trust.destinations import check_destinations
from numbers.models import NumberState, RealNumber, VirtualNumber
from smsproxy.carriers.base import InboundText, LookupResult, LookupVerdict
from smsproxy.environment import Environment
from tests.support.api_requests import URL, asked_for, given, is_refused, of_pool
from tests.support.builders import ALICE, BOB, add_number, add_numbers, proxies, talk

# Refused whatever the countries: (number, a part of the reason).
REFUSED_BY_TYPE = [
    ("+449012345678", "premium-rate"),
    ("+449098765432", "premium-rate"),
    ("+448451234567", "premium-rate"),  # “service numbers”
    ("+448711234567", "premium-rate"),
    ("+19005550123", "premium-rate"),
    ("+33899123456", "premium-rate"),
    ("+33812345678", "premium-rate"),
    ("+81990123456", "premium-rate"),
    ("+41900123456", "premium-rate"),
    ("+491801234567", "shared-cost"),
    ("+491371234567", "shared-cost"),
    ("+61131234", "shared-cost"),
    ("+447012345678", "personal number"),  # looks like a mobile
    ("+447098765432", "personal number"),
    ("+15005550123", "personal number"),
    ("+15335551234", "personal number"),
    ("+81601234567", "personal number"),
    ("+447640123456", "pager"),
    ("+491641234567", "pager"),
    ("+443001234567", "access number"),
    ("+33806123456", "access number"),
    ("+8816123456789", "+881"),  # satellites
    ("+8821234567890", "+882"),
    ("+88213123456", "+882"),
    ("+8835100012345", "+883"),
    ("+870773111632", "+870"),
    ("+979123456789", "+979"),  # international premium rate, shared cost, toll-free and personal
    ("+80812345678", "+808"),
    ("+80012345678", "+800"),
    ("+878101234567890", "+878"),
    ("+49116117", "short number"),
    ("+4911833", "short number"),
    ("+43116123", "short number"),
    ("+2741348", "short number"),
    ("+508118000", "short number"),
]
# Allowed, if their countries are.
ORDINARY = [
    "+447700900123",  # reserved for fiction, as are the next two
    "+12125550101",
    "+16465550199",
    "+447400123456",
    "+447911123456",
    "+442079460000",  # a landline may receive texts
    "+447797712345",  # Jersey
    "+447624123456",  # the Isle of Man, in a range of pagers
    "+353851234567",
    "+33612345678",
    "+4915123456789",
    "+393123456789",
    "+34612345678",
    "+48512345678",
    "+5491112345678",
    "+2250701020304",
    "+919012345678",
    "+4930112",  # a short number of a subscriber
    "+18335550123",  # toll-free
    "+17105550123",  # unknown ranges
    "+17281234567",
    "+447199123456",
]


@pytest.fixture
def only_our_numbers(settings):
    """Apply the default: the countries of the pool's active numbers."""
    settings.ALLOWED_COUNTRIES = frozenset()


def create(api, *numbers, path="", **fields):
    return api.post(f"{URL}{path}", asked_for(*numbers, **fields))


def refusal(response):
    """Check that the destination of participant 1 was refused and nothing was created. Return the reason."""
    body = is_refused(response, 400, "destination_not_allowed")
    assert body["code"] == "destination_not_allowed"
    [error] = body["errors"]
    assert (error["pointer"], error["code"]) == ("/participants/1/number", "destination_not_allowed")
    assert body["detail"].startswith("Participant 1")
    assert not Conversation.objects.exists()
    assert not RealNumber.objects.exists()
    return error["detail"]


@pytest.mark.parametrize(("number", "reason"), REFUSED_BY_TYPE)
def test_a_number_of_a_costly_type_is_refused_in_every_country(api, number, reason):
    add_numbers(2)
    add_numbers(2, "US", start="+1212555010")

    told = refusal(create(api, ALICE, number))

    assert reason in told
    assert "Use the number of the person's own phone" in told
    assert number[3:] not in told


@pytest.mark.parametrize("number", ORDINARY)
def test_an_ordinary_number_of_an_allowed_country_is_accepted(api, number):
    add_numbers(2)
    add_numbers(2, "US", start="+1212555010")

    given(create(api, ALICE, number))


@pytest.mark.usefixtures("only_our_numbers")
class TestCountriesOfThePool:
    """ALLOWED_COUNTRIES is empty: the active numbers of the conversation's pool decide."""

    @pytest.mark.parametrize(
        ("number", "country"),
        [
            ("+353851234567", "IE"),
            ("+33612345678", "FR"),
            ("+12125550101", "US"),
            ("+447797712345", "JE"),
            ("+447700300123", "JE"),
            ("+447781123456", "GG"),
            ("+447624123456", "IM"),
            ("+2348031234567", "NG"),
        ],
    )
    def test_a_phone_of_another_country_is_refused(self, api, number, country):
        add_numbers(2)

        told = refusal(create(api, ALICE, number))

        assert f"is a phone of {country}, and texts may only go to phones of GB" in told
        assert "ALLOWED_COUNTRIES" not in told

    @pytest.mark.parametrize("number", ["+447700900123", "+447400123456", "+442079460000", "+447199123456"])
    def test_a_phone_of_the_pool_s_country_is_accepted_also_with_an_unknown_range(self, api, number):
        add_numbers(2)

        given(create(api, ALICE, number))

    @pytest.mark.parametrize("number", ["+18765550101", "+18095550123", "+14735550123", "+16845551234", "+17875550123"])
    @pytest.mark.parametrize("country", ["US", "CA"])
    def test_the_islands_that_share_a_calling_code_are_other_countries(self, api, number, country):
        add_numbers(2, country, start="+1212555010")

        assert f"phones of {country}" in refusal(create(api, "+12125550199", number))

    @pytest.mark.parametrize("country", ["US", "CA"])
    def test_numbers_of_the_united_states_and_canada_serve_both(self, api, country):
        add_numbers(2, country, start="+1212555010")

        given(create(api, "+12125550199", "+14165550199"))

    @pytest.mark.parametrize("country", ["US", "CA"])
    def test_a_new_area_code_is_accepted_as_one_of_the_united_states_or_canada(self, api, country):
        add_numbers(2, country, start="+1212555010")

        given(create(api, "+12125550199", "+17281234567"))

    def test_the_vatican_is_not_italy_and_kazakhstan_is_not_russia(self, api):
        add_numbers(2, "IT", start="+3932000000")
        add_numbers(2, "RU", start="+7912000000")

        assert "is a phone of VA" in refusal(create(api, "+393123456789", "+390669812345"))
        assert "is a phone of KZ" in refusal(create(api, "+79121234567", "+77011234567"))

    def test_the_reason_lists_every_country_of_the_pool(self, api):
        add_numbers(2)
        add_numbers(1, "FR", start="+33700000")

        told = refusal(create(api, ALICE, "+4915123456789"))

        assert "phones of FR, GB." in told

    def test_a_conversation_is_judged_by_the_numbers_of_its_own_pool(self, api):
        add_numbers(2)
        of_pool("paris", 2, "FR", start="+33700000")

        given(create(api, "+33612345678", "+33612345679", pool="paris"))
        is_refused(create(api, ALICE, "+33612345678"), 400, "destination_not_allowed")
        is_refused(create(api, "+33612345678", ALICE, pool="paris"), 400, "destination_not_allowed")

    @pytest.mark.parametrize("changes", [{"state": NumberState.DRAINING}, {"can_sms": False}])
    def test_a_number_that_serves_no_new_conversation_does_not_count(self, api, changes):
        add_numbers(2)
        french = add_numbers(1, "FR", start="+33700000")[0]
        VirtualNumber.objects.filter(pk=french.pk).update(**changes)

        assert "phones of GB." in refusal(create(api, ALICE, "+33612345678"))

    def test_a_reserved_number_counts(self, api):
        add_numbers(2)
        reserved = add_number("+33700000000", NumberState.ACTIVE, "FR", is_reserved=True)

        given(create(api, ALICE, {"number": "+33612345678", "proxy_number": reserved.number}))

    @pytest.mark.parametrize("people", [2, 10])
    def test_people_of_one_country_take_one_query(self, db, django_assert_num_queries, people):
        add_numbers(2)

        with django_assert_num_queries(1):
            check_destinations([f"+4477009000{index:02}" for index in range(people)], None)

    def test_a_pool_without_numbers_is_a_shortage(self, api):
        is_refused(create(api, ALICE, BOB), 409, "no_number_free")


class TestAllowedCountries:
    """ALLOWED_COUNTRIES is set: it decides alone."""

    def test_a_listed_country_is_accepted_without_a_number_of_its_own(self, api, settings):
        settings.ALLOWED_COUNTRIES = frozenset({"GB", "IE"})
        add_numbers(2)

        given(create(api, ALICE, "+353851234567"))

    def test_a_country_that_is_not_listed_is_refused_although_the_pool_has_its_numbers(self, api, settings):
        settings.ALLOWED_COUNTRIES = frozenset({"GB", "IE"})
        add_numbers(2)
        add_numbers(2, "FR", start="+33700000")

        assert "phones of GB, IE." in refusal(create(api, ALICE, "+33612345678"))

    def test_one_country_of_a_shared_calling_code_can_be_listed_alone(self, api, settings):
        settings.ALLOWED_COUNTRIES = frozenset({"CA"})
        add_numbers(2, "CA", start="+1416555010")

        assert "is a phone of US" in refusal(create(api, "+14165550199", "+12125550101"))
        given(create(api, "+14165550199", "+16135550101"))

    def test_the_asterisk_allows_every_country(self, api, settings):
        settings.ALLOWED_COUNTRIES = frozenset({"*"})
        add_numbers(2)

        given(create(api, ALICE, "+2348031234567"))


def test_a_dry_run_refuses_the_same_destinations(api, settings):
    settings.ALLOWED_COUNTRIES = frozenset()
    add_numbers(2)

    refusal(create(api, ALICE, "+33612345678", path="dry-run/"))
    refusal(create(api, ALICE, "+8816123456789", path="dry-run/"))


def test_the_command_that_explains_assignments_says_that_a_destination_is_refused(db, run):
    add_numbers(2)

    code, told = run("explain_assignment", ALICE, "+8816123456789")

    assert code == 2
    assert "Participant 1: is a number of no country (+881)" in told


def test_the_command_says_how_to_allow_a_country(db, run, settings):
    settings.ALLOWED_COUNTRIES = frozenset({"GB"})
    add_numbers(2)

    assert "To text phones of FR, add it to ALLOWED_COUNTRIES." in run("explain_assignment", ALICE, "+33612345678")[1]


def test_no_lookup_is_paid_for_if_a_destination_is_refused(api, settings, carrier):
    settings.LOOKUP = "identity_insights"
    carrier.lookup = lambda number: LookupResult(verdict=LookupVerdict.VALID)
    add_numbers(2)

    refusal(create(api, ALICE, "+447012345678"))

    assert carrier.looked_up == []


def test_a_repeat_of_a_creation_is_answered_although_its_destination_is_no_longer_allowed(api, settings):
    add_numbers(2)
    body, key = asked_for(ALICE, BOB), {"Idempotency-Key": "order-42"}
    first = api.post(URL, body, headers=key)
    settings.ALLOWED_COUNTRIES = frozenset({"FR"})

    again = api.post(URL, body, headers=key)

    assert (again.status_code, again.json()) == (201, first.json())


def test_a_conversation_goes_on_although_its_destination_is_no_longer_allowed(db, settings):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    settings.ALLOWED_COUNTRIES = frozenset({"FR"})

    receive(InboundText(carrier_message_id="in-1", sender=ALICE, recipient=proxies(conversation)[0], text="hello"))

    assert OutboundMessage.objects.get().recipient.number == BOB


STRANGERS = pytest.mark.parametrize(
    ("stranger", "answers"),
    [
        ("+447700900099", 1),
        ("+33612345678", 0),
        ("+447012345678", 0),
        ("+8816123456789", 0),
        ("+999123456789", 0),
    ],
)


@STRANGERS
@pytest.mark.parametrize(
    ("words", "outcome"), [("who is this?", "no_route"), ("STOP", "keyword"), ("HELP", "keyword"), ("hi", "blocked")]
)
def test_a_stranger_is_answered_only_where_texts_may_go(db, settings, stranger, answers, words, outcome):
    settings.ALLOWED_COUNTRIES, settings.BLOCKED_NOTICE = frozenset(), "Your messages are not passed on."
    number = add_numbers(2)[0].number
    if outcome == "blocked":
        block_prefix(stranger[:9], reason="spam", actor="sam")

    receive(InboundText(carrier_message_id="in-1", sender=stranger, recipient=number, text=words))

    assert InboundMessage.objects.get().outcome == outcome
    assert OutboundMessage.objects.count() == answers
    assert RealNumber.objects.opted_out().count() == (words == "STOP")


def test_a_participant_gets_the_answer_to_stop_although_their_country_is_no_longer_allowed(db, settings):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    settings.ALLOWED_COUNTRIES = frozenset({"FR"})

    receive(InboundText(carrier_message_id="in-1", sender=ALICE, recipient=proxies(conversation)[0], text="STOP"))

    assert OutboundMessage.objects.get(kind="keyword_answer").recipient.number == ALICE


class TestTheSetting:
    def read(self, monkeypatch, tmp_path, value):
        monkeypatch.setenv("ALLOWED_COUNTRIES", value)
        return Environment(tmp_path / "none.env").countries("ALLOWED_COUNTRIES")

    @pytest.mark.parametrize(
        ("value", "expected"),
        [("", set()), ("*", {"*"}), ("GB", {"GB"}), ("gb, IE,", {"GB", "IE"}), ("GB,*", {"GB", "*"})],
    )
    def test_a_list_of_countries_is_read(self, monkeypatch, tmp_path, value, expected):
        assert self.read(monkeypatch, tmp_path, value) == expected

    @pytest.mark.parametrize("value", ["UK", "GBR", "GB;IE", "+44", "**"])
    def test_anything_other_than_countries_stops_the_program(self, monkeypatch, tmp_path, value):
        with pytest.raises(ImproperlyConfigured, match="ALLOWED_COUNTRIES: expected countries such as GB,IE"):
            self.read(monkeypatch, tmp_path, value)
