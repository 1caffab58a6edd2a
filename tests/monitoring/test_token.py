"""Who may read /metrics."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from smsproxy.api.models import ApiKey
from smsproxy.environment import Environment
from tests.support.scraping import URL

TOKEN = "a token for tests only, of 32 ch".replace(" ", "-")

pytestmark = pytest.mark.django_db


def scrape(client, token):
    return client.get(URL, headers={"Authorization": f"Bearer {token}"})


def test_the_token_opens_metrics_and_nothing_else(client, settings):
    settings.METRICS_TOKEN = TOKEN

    assert scrape(client, TOKEN).status_code == 200
    answer = client.get("/api/v1/conversations/", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 401


@pytest.mark.parametrize("wrong", ["", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ÄÖÜ"])
def test_another_token_is_a_401_that_names_the_setting(client, settings, wrong):
    settings.METRICS_TOKEN = TOKEN

    answer = scrape(client, wrong)

    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert "METRICS_TOKEN" in answer.json()["detail"]
    assert b"smsproxy_" not in answer.content


def test_with_a_token_set_an_api_key_does_not_open_metrics(api, settings):
    settings.METRICS_TOKEN = TOKEN

    assert api.get(URL).status_code == 401
    assert api.get("/api/v1/conversations/").status_code == 200


def test_without_a_token_an_api_key_opens_metrics(api, client):
    assert api.get(URL).status_code == 200
    answer = client.get(URL)
    assert (answer.status_code, "METRICS_TOKEN" in answer.json()["detail"]) == (401, True)


def test_without_a_token_an_api_key_opens_metrics_only_with_the_scope_read(client):
    keys = [ApiKey.objects.issue(scopes, scopes=scopes)[1] for scopes in ("read", "write numbers")]

    assert [scrape(client, key).status_code for key in keys] == [200, 403]
    assert scrape(client, keys[1]).json()["code"] == "scope_missing"


def test_reading_metrics_counts_against_the_rate_of_the_key(client):
    _, key = ApiKey.objects.issue("prometheus", requests_per_minute=1)

    assert [scrape(client, key).status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("token", ["x" * 31, "x" * 40 + " y", "é" * 40])
def test_a_token_that_is_too_short_or_cannot_be_sent_stops_the_program(monkeypatch, tmp_path, token):
    monkeypatch.setenv("METRICS_TOKEN", token)

    with pytest.raises(ImproperlyConfigured, match="METRICS_TOKEN: expected 32 or more ASCII characters") as error:
        Environment(tmp_path / "none").token("METRICS_TOKEN", min_length=32)
    assert token not in str(error.value)
