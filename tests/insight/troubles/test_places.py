"""Each trouble, provoked for real, is seen in all five places, and in none of them once its cause is gone."""

import json
import logging

import pytest

from conversations.insight.troubles.kinds import KINDS, Trouble, docs_link
from conversations.monitoring import health
from tests.insight.troubles.provocations import PROVOCATIONS, Tools

pytestmark = pytest.mark.django_db
EVERYWHERE = ["status", "readyz", "metrics", "admin"]


@pytest.fixture
def tools(bob, carrier, settings, time_machine, monkeypatch):
    return Tools(bob, carrier, settings, time_machine, monkeypatch)


@pytest.fixture
def places(run, api, admin_client, client, monkeypatch):
    """Return a function that returns the places that show a trouble of this kind now."""

    def in_status(kind):
        found, _ = json.JSONDecoder().raw_decode(run("status", "--json")[1])
        return kind in [trouble["id"] for trouble in found["troubles"]]

    def in_readyz(kind):
        monkeypatch.setattr(health, "readiness", health.Readiness())
        found = client.get("/readyz", headers={"Host": "10.0.0.7"}).json()
        return kind in [trouble["id"] for trouble in found["troubles"]]

    def in_metrics(kind):
        line = f'smsproxy_trouble{{kind="{kind}",severity="{KINDS[kind].severity}"}} '
        [found] = [each for each in api.get("/metrics").content.decode().splitlines() if each.startswith(line)]
        return found == f"{line}1.0"

    def in_admin(kind):
        return f"See {docs_link(kind)}." in admin_client.get("/admin/").content.decode()

    looks = dict(zip(EVERYWHERE, [in_status, in_readyz, in_metrics, in_admin], strict=True))
    return lambda kind: [place for place, look in looks.items() if look(kind)]


def test_every_kind_can_be_provoked():
    assert set(PROVOCATIONS) == set(Trouble)


@pytest.mark.parametrize("kind", Trouble)
def test_a_trouble_is_seen_everywhere_until_its_cause_is_gone(kind, tools, places, caplog):
    caplog.set_level(logging.WARNING)

    def logged(what):
        return [record.getMessage() for record in caplog.records if record.getMessage().startswith(f"trouble {what}")]

    assert places(kind) == []
    provocation = PROVOCATIONS[kind](tools)
    next(provocation)

    assert places(kind) == EVERYWHERE
    [began] = logged(f"{kind} began: ")
    assert f"What to do: {KINDS[kind].action} See {docs_link(kind)}" in began
    assert logged(f"{kind} ended") == []
    next(provocation, None)

    assert places(kind) == []
    assert len(logged(f"{kind} began: ")) == len(logged(f"{kind} ended after ")) == 1
