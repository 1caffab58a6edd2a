"""Commands about API keys and services: what they print, and what they say if they cannot."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from numbers.models import Pool
from smsproxy.api.models import ApiKey
from smsproxy.services.models import Service
from tests.support.api_requests import URL
from tests.support.endpoints import client_with

pytestmark = pytest.mark.django_db


def key_in(output):
    """Return the key in the output of a command."""
    [found] = [word for word in output.split() if word.startswith("sp_")]
    return found


@pytest.fixture
def rides():
    return Service.objects.create(name="rides")


def test_a_key_is_made_with_its_service_scopes_expiry_and_rate(run, rides, time_machine):
    time_machine.move_to(datetime(2026, 11, 28, 12, tzinfo=UTC), tick=False)

    code, output = run(
        "create_api_key", "backend", "--service=rides", "--scopes=numbers,read", "--expires=90d",
        "--requests-per-minute=30",
    )  # fmt: skip

    key = ApiKey.objects.get()
    assert code == 0
    assert client_with(key_in(output)).get(URL).status_code == 200
    assert (key.service, key.scopes, key.requests_per_minute) == (rides, "read numbers", 30)
    assert key.expires_at == datetime(2027, 2, 26, 12, tzinfo=UTC)


def test_a_key_may_expire_on_a_day(run):
    day = f"{timezone.now() + timedelta(days=40):%Y-%m-%d}"

    run("create_api_key", "backend", f"--expires={day}")

    assert f"{ApiKey.objects.get().expires_at:%Y-%m-%d %H:%M}" == f"{day} 00:00"


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--service=unknown", "expected one of the services default, rides, found 'unknown'"),
        ("--service=\0", "expected one of the services default, rides"),
        ("--scopes=read,admin", "expected one of read, write, numbers, found 'admin'"),
        ("--scopes=", "expected one or several of read, write, numbers"),
        ("--expires=yesterday", "expected a time from now, such as 90d, or a day after today"),
        ("--expires=2020-01-01", "expected a time from now, such as 90d, or a day after today"),
        ("--expires=0d", "expected a time from now, such as 90d, or a day after today"),
        ("--requests-per-minute=-1", "expected a whole number of requests a minute, 0 or more"),
    ],
)
def test_a_wrong_option_makes_no_key_and_says_what_was_expected(run, rides, option, told):
    code, output = run("create_api_key", "backend", option)

    assert code != 0
    assert told in output
    assert not ApiKey.objects.exists()


def test_the_list_shows_each_key_with_its_last_use_and_status(run, rides, time_machine):
    time_machine.move_to(datetime(2026, 11, 28, 12, tzinfo=UTC), tick=False)
    _, text = ApiKey.objects.issue("backend")
    old, _ = ApiKey.objects.issue("backend", service=rides, scopes="read")
    old.rotate(overlap=timedelta(days=7))
    ApiKey.objects.issue("tool", service=rides)[0].revoke()
    client_with(text).get(URL)

    _, output = run("list_api_keys")

    heading, *rows = [re.split(r"\s{2,}", line.strip()) for line in output.splitlines()]
    assert heading == ["name", "service", "prefix", "scopes", "created", "last used", "expires", "status"]
    now = "2026-11-28 12:00"
    assert sorted([*row[:2], *row[3:]] for row in rows) == [
        ["backend", "default", "read,write", now, now, "never", "valid"],
        ["backend", "rides", "read", now, "never", "2026-12-05 12:00", "rotated"],
        ["backend", "rides", "read", now, "never", "never", "valid"],
        ["tool", "rides", "read,write", now, "never", "never", "revoked"],
    ]
    assert {row[2] for row in rows} == set(ApiKey.objects.values_list("prefix", flat=True))
    assert text not in output


def test_the_list_of_one_service_has_only_its_keys(run, rides):
    ApiKey.objects.issue("backend")

    assert "There are no keys" in run("list_api_keys", "--service=rides")[1]


def test_a_rotation_prints_the_new_key_and_says_when_the_other_expires(run, time_machine):
    time_machine.move_to(datetime(2026, 11, 28, 12, tzinfo=UTC), tick=False)
    old, old_text = ApiKey.objects.issue("backend")

    code, output = run("rotate_api_key", "backend")

    assert code == 0
    assert f"The key {old.prefix} expires at 2026-12-05 12:00 UTC." in output
    assert [client_with(text).get(URL).status_code for text in (old_text, key_in(output))] == [200, 200]


def test_the_overlap_of_a_rotation_can_be_chosen(run):
    _, old_text = ApiKey.objects.issue("backend")

    run("rotate_api_key", "backend", "--overlap=0h")

    assert client_with(old_text).get(URL).status_code == 401


def test_only_a_key_of_the_service_is_rotated(run, rides):
    ApiKey.objects.issue("backend")

    code, output = run("rotate_api_key", "backend", "--service=rides")

    assert code != 0
    assert "expected the name of a key of the service rides, found 'backend'" in output
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize("name_of", [lambda key, text: "backend", lambda key, text: key.prefix, lambda key, text: text])
def test_a_key_is_revoked_by_its_name_its_prefix_or_its_text(run, name_of):
    key, text = ApiKey.objects.issue("backend")

    code, output = run("revoke_api_key", name_of(key, text))

    assert (code, output) == (0, f"Revoked the key backend ({key.prefix}) of the service default.\n")
    assert client_with(text).get(URL).status_code == 401


def test_a_name_of_several_keys_revokes_none_and_shows_their_prefixes(run, rides):
    keys = [ApiKey.objects.issue("backend", service=service)[0] for service in (None, rides)]

    code, output = run("revoke_api_key", "backend")

    assert code != 0
    assert f"2 keys have the name 'backend'. Name one by its prefix: {keys[0].prefix} (service default)" in output
    assert not ApiKey.objects.filter(revoked_at__isnull=False).exists()
    assert run("revoke_api_key", "backend", "--service=rides")[0] == 0


def test_a_key_that_does_not_exist_is_not_revoked_and_a_whole_key_is_not_repeated(run):
    code, output = run("revoke_api_key", "sp_0badcafe_this-is-a-secret")

    assert code != 0
    assert "expected the name or prefix of a key that is not revoked, found '0badcafe'" in output
    assert "secret" not in output


def test_a_service_is_made_with_its_defaults(run):
    pool = Pool.objects.create(name="berlin")

    code, output = run("create_service", "food", "--pool=berlin", "--ttl=86400", "--language=pt-BR")

    service = Service.objects.get(name="food")
    assert code == 0
    assert "manage.py create_api_key NAME --service food" in output
    assert (service.pool, service.ttl, service.language) == (pool, 86400, "pt-BR")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["default"], "name: A service of this name exists. Choose another name."),
        ([""], "name: This field is required."),
        (["food\n1"], "name: Expected one line without control characters."),
        (["food", "--ttl=5"], "ttl: Ensure this value is greater than or equal to 60."),
        (["food", "--ttl=soon"], "ttl: Enter a whole number."),
        (["food", "--language=Portuguese"], "language: "),
        (["food", "--pool=paris"], "expected the name of a pool"),
    ],
)
def test_a_service_that_makes_no_sense_is_not_made(run, arguments, told):
    code, output = run("create_service", *arguments)

    assert code != 0
    assert told in output
    assert Service.objects.count() == 1


def test_the_services_are_listed_with_their_defaults(run):
    Service.objects.create(name="food", ttl=3600, geography="any")

    _, output = run("list_services")

    assert [line.split()[:5] for line in output.splitlines()[1:]] == [
        ["default", "-", "-", "-", "-"],
        ["food", "-", "3600", "s", "any"],
    ]
