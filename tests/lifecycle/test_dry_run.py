"""Preview of the numbers that people would get: the dry run of the API and manage.py explain_assignment."""

import json

import pytest

from conversations.lifecycle import create
from conversations.lifecycle.choose_numbers import Conflict, choose_numbers
from conversations.management.commands.explain_assignment import WHY
from conversations.models import Conversation, ConversationEvent, OutboundMessage, Participant
from numbers.assignment.choose import Preference
from numbers.models import Pool, RealNumber, Shortage, VirtualNumber
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, proxies, talk

CREATE = "/api/v1/conversations/"
URL = f"{CREATE}dry-run/"
# An error repeats the id of its request.
SAME = {"headers": {"X-Request-ID": "the-same-request"}}

pytestmark = pytest.mark.django_db


def request_body(*numbers, **fields):
    return {"participants": [{"number": number} for number in numbers or (ALICE, BOB)]} | fields


@pytest.fixture
def unchanged():
    """Return a function that records all rows. They must be the same at the end of the test."""

    def everything():
        tables = Conversation, Participant, ConversationEvent, OutboundMessage, RealNumber, VirtualNumber, Shortage
        return [list(table.objects.order_by("pk").values()) for table in tables]

    before = []
    yield lambda: before.append(everything())
    assert before == [everything()]


def test_a_dry_run_returns_the_numbers_that_creation_then_gives(api):
    add_numbers(1)
    add_numbers(1, "US", start="+1212555010")
    body = request_body(ALICE, "+12125550199", reference="order-42", ttl=600)
    body["participants"][0]["label"] = "Rider"

    dry_run = api.post(URL, body)
    made = api.post(CREATE, body).json()

    assert dry_run.status_code == 200
    for preview, given in zip(dry_run.json()["participants"], made["participants"], strict=True):
        assert preview == {name: given[name] for name in preview}
    assert [each["chosen_by"] for each in dry_run.json()["participants"]] == ["own country", "own area"]


def test_a_dry_run_creates_nothing_and_makes_no_lookup(api, settings, carrier, unchanged):
    settings.LOOKUP = "identity_insights"
    add_numbers(2)
    unchanged()

    assert api.post(URL, request_body()).status_code == 200
    assert carrier.looked_up == []


def test_a_dry_run_with_no_free_number_writes_nothing_and_returns_the_figures(api, unchanged):
    add_numbers(1)
    talk(ALICE, BOB)
    unchanged()

    answer = api.post(URL, request_body(CHARLIE, ALICE))

    assert answer.status_code == 409
    assert not Shortage.objects.exists()
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert (body["participant"], body["numbers_eligible"], body["numbers_in_use"], body["numbers_needed"]) == (
        1,
        1,
        1,
        2,
    )


def test_a_dry_run_returns_the_same_shortage_error_as_creation(api):
    add_numbers(1)
    talk(ALICE, BOB).close()

    other = request_body(ALICE, CHARLIE)

    assert api.post(URL, other, **SAME).json() == api.post(CREATE, other, **SAME).json()


def test_a_dry_run_cuts_no_cool_down_short(api, unchanged):
    add_numbers(1)
    talk(ALICE, BOB).close()
    unchanged()

    answer = api.post(URL, request_body(ALICE, CHARLIE, on_exhausted="soft"))

    assert answer.json()["participants"][0]["chosen_by"] == "cut short"


@pytest.mark.parametrize("wrong", [{}, {"participants": []}, request_body(ALICE, ALICE), request_body(pool="nowhere")])
def test_a_dry_run_returns_the_same_validation_errors_as_creation(api, wrong):
    add_numbers(2)

    dry, real = api.post(URL, wrong, **SAME), api.post(CREATE, wrong, **SAME)

    assert dry.status_code == real.status_code == 400
    assert dry.json() == real.json()


def test_a_dry_run_needs_an_api_key(client):
    assert client.post(URL, request_body(), "application/json").status_code == 401


def test_a_dry_run_is_retried_after_a_conflict(api, monkeypatch):
    add_numbers(2)
    conflicts = [True, True]

    def conflict_twice(*args, **options):
        if conflicts:
            conflicts.pop()
            raise Conflict
        return choose_numbers(*args, **options)

    monkeypatch.setattr(create, "choose_numbers", conflict_twice)

    assert api.post(URL, request_body()).status_code == 200


def test_a_dry_run_that_conflicts_every_time_returns_too_many_at_once(api, monkeypatch):
    def conflict(*args, **options):
        raise Conflict

    monkeypatch.setattr(create, "choose_numbers", conflict)

    assert api.post(URL, request_body()).json()["code"] == "too_many_at_once"


# manage.py explain_assignment -----------------------------------------------------------------------------------------


def test_the_command_prints_each_number_and_explains_its_preference(run, unchanged):
    [number] = add_numbers(1)
    unchanged()

    code, output = run("explain_assignment", ALICE, BOB)

    assert code == 0
    words = f"{number.number}    GB  own country: it is from their own country"
    assert output.splitlines() == [f"participant 0  {words}", f"participant 1  {words}"]


def test_every_preference_has_an_explanation():
    assert set(WHY) == set(Preference)


def test_the_command_prints_json_on_request(run):
    add_numbers(2)
    before = talk(ALICE, BOB)
    before.close()
    Participant.objects.update(released_at=before.closed_at)

    code, output = run("explain_assignment", ALICE, BOB, "--json")

    found = json.loads(output)["participants"]
    assert code == 0
    assert [each["proxy_number"] for each in found] == proxies(before)
    assert {each["chosen_by"] for each in found} == {"last used"}


def test_the_command_takes_the_options_of_a_request(run):
    pool = Pool.objects.create(name="berlin")
    add_numbers(1, "DE", start="+493000000")
    VirtualNumber.objects.update(pool=pool)

    def explain(*options):
        return run("explain_assignment", ALICE, CHARLIE, "--pool", "berlin", *options)

    assert "other country: no number of their own country is free" in explain()[1]
    assert "any: the policy ignores countries" in explain("--geography", "any")[1]
    assert explain("--geography", "same-country")[0] == 3
    ended = talk(ALICE, BOB, pool=pool)
    ended.close()
    assert explain()[0] == 3
    assert (
        f"the cool-down of this one would be cut short, of conversation {ended.public_id}"
        in explain("--on-exhausted", "soft")[1]
    )


def test_the_command_prints_the_figures_of_a_shortage_and_does_not_record_it(run):
    add_numbers(1)
    ended = talk(ALICE, BOB)
    ended.close()
    next_release = f"{Participant.objects.first().release_at:%Y-%m-%d}"

    code, output = run("explain_assignment", CHARLIE, ALICE)
    as_json = json.JSONDecoder().raw_decode(run("explain_assignment", CHARLIE, ALICE, "--json")[1])[0]

    assert code == 3
    for figure in ("participant      1", "country          GB", "numbers_eligible 1", "numbers_in_use   1"):
        assert figure in output
    assert "numbers_needed   2" in output
    assert next_release in output
    assert "Participant 1: no virtual number is free" in output
    assert as_json["numbers_needed"] == 2
    assert as_json["code"] == "no_number_free"
    assert not Shortage.objects.exists()


def test_the_command_reads_phone_numbers_from_standard_input(run):
    add_numbers(2)

    assert run("explain_assignment", "-", "-", types=f"{ALICE}\n{BOB}\n")[0] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        [ALICE],
        [ALICE, "07700900042"],
        [ALICE, "+44 7700900042 1"],
        [ALICE, ALICE],
        [f"+4477009000{index:02}" for index in range(11)],
    ],
)
def test_wrong_usage_exits_with_2_and_prints_no_phone_number(run, wrong):
    add_numbers(1)

    code, output = run("explain_assignment", *wrong)

    assert code == 2
    assert output
    assert "900042" not in output
    assert "0900001" not in output.replace('such as "+447700900001"', "")


def test_the_command_rejects_an_unknown_pool_and_lists_the_existing_ones(run, db):
    Pool.objects.create(name="berlin")

    code, output = run("explain_assignment", ALICE, BOB, "--pool", "paris")

    assert code != 0
    assert "expected one of the pools berlin (omit it for the common pool), found 'paris'" in output
    assert "0900001" not in output
