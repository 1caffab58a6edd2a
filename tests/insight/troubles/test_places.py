"""Each trouble, provoked for real, is seen in all five places, and in none of them once its cause is gone."""

import json
import logging

import pytest

from conversations.insight.troubles.kinds import KINDS, Trouble, docs_link
from conversations.monitoring import health
from tests.insight.troubles.provocations import PROVOCATIONS, Tools

pytestmark = pytest.mark.django_db
EVERYWHERE = ["status", "readyz", "metrics", "admin"]
METRIC = "smsproxy_trouble{"


@pytest.fixture
def tools(bob, carrier, settings, time_machine, monkeypatch):
    return Tools(bob, carrier, settings, time_machine, monkeypatch)


@pytest.fixture
def looks(run, api, admin_client, client, monkeypatch):
    """Return the places, each with a function that returns the kinds of trouble that it shows now."""

    def in_status():
        found, _ = json.JSONDecoder().raw_decode(run("status", "--json")[1])
        return [trouble["id"] for trouble in found["troubles"]]

    def in_readyz():
        monkeypatch.setattr(health, "readiness", health.Readiness())
        found = client.get("/readyz", headers={"Host": "10.0.0.7"}).json()
        return [trouble["id"] for trouble in found["troubles"]]

    def in_metrics():
        lines = [line for line in api.get("/metrics").content.decode().splitlines() if line.startswith(METRIC)]
        values = {kind: line for kind in Trouble for line in lines if line.startswith(start_of_line(kind))}
        assert len(lines) == len(values) == len(Trouble)
        return [kind for kind, line in values.items() if line == f"{start_of_line(kind)}1.0"]

    def in_admin():
        page = admin_client.get("/admin/").content.decode()
        return [kind for kind in Trouble if f"See {docs_link(kind)}." in page]

    return dict(zip(EVERYWHERE, [in_status, in_readyz, in_metrics, in_admin], strict=True))


def start_of_line(kind):
    return f'{METRIC}kind="{kind}",severity="{KINDS[kind].severity}"}} '


@pytest.fixture
def places(looks):
    """Return a function that returns the places that show a trouble of this kind now."""
    return lambda kind: [place for place, look in looks.items() if kind in look()]


def test_every_kind_can_be_provoked():
    assert set(PROVOCATIONS) == set(Trouble)


def test_without_a_cause_no_trouble_is_seen_anywhere(tools, looks):
    assert {place: shown for place, look in looks.items() if (shown := look())} == {}


@pytest.mark.parametrize("kind", Trouble)
def test_a_trouble_is_seen_everywhere_until_its_cause_is_gone(kind, tools, places, caplog):
    caplog.set_level(logging.WARNING)

    def logged(what):
        return [record.getMessage() for record in caplog.records if record.getMessage().startswith(f"trouble {what}")]

    provocation = PROVOCATIONS[kind](tools)
    next(provocation)

    assert places(kind) == EVERYWHERE
    [began] = logged(f"{kind} began: ")
    assert f"What to do: {KINDS[kind].action} See {docs_link(kind)}" in began
    assert logged(f"{kind} ended") == []
    next(provocation, None)

    assert places(kind) == []
    assert len(logged(f"{kind} began: ")) == len(logged(f"{kind} ended after ")) == 1
