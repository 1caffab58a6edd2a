"""The metrics, the alert rules and the dashboard fit together, and Prometheus accepts them."""

import json
import re

import pytest
import yaml
from django.utils import timezone

from conversations.lifecycle.request import NoNumberFree
from conversations.models import HostClock
from smsproxy.metrics.families import FAMILIES
from smsproxy.metrics.family import Family, Histogram
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, talk
from tests.support.demo_process import ROOT
from tests.support.documentation import doc
from tests.support.scraping import figures, promtool, scrape_with

MONITORING = ROOT / "docs" / "monitoring"
ALERTS = yaml.safe_load((MONITORING / "alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]

pytestmark = pytest.mark.django_db


@pytest.fixture
def scraped(api):
    """Return the text of a scrape in which every metric has a figure, except those that count only some requests."""
    add_numbers(1)
    talk(ALICE, BOB)
    with pytest.raises(NoNumberFree):
        talk(ALICE, CHARLIE)
    HostClock.objects.create(host="a", skew_seconds=0.1, measured_at=timezone.now())
    scrape_with(api)
    return api.get("/metrics").content.decode()


def test_prometheus_finds_nothing_wrong_with_the_metrics(scraped):
    assert promtool("check", "metrics", text=scraped) == ""


def test_prometheus_loads_the_alert_rules():
    assert f"{len(RULES)} rules found" in promtool("check", "rules", MONITORING / "alerts.yml")


def test_the_alerts_fire_when_they_should_and_not_otherwise():
    promtool("test", "rules", ROOT / "tests" / "monitoring" / "alerts_test.yml")


def test_prometheus_can_run_the_queries_of_the_dashboard(tmp_path):
    rules = [
        {"record": f"query:{place}", "expr": query.replace("$__rate_interval", "5m")}
        for place, query in enumerate(QUERIES)
    ]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    assert f"{len(QUERIES)} rules found" in promtool("check", "rules", tmp_path / "queries.yml")


def labels_by_name(scraped: str) -> dict[str, dict[str, set[str] | None]]:
    """Return the labels of each name that a query may use. None in place of values: any value may come."""
    found: dict[str, dict[str, set[str] | None]] = {}
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", scraped, re.MULTILINE):
        if kind != "histogram":
            found[name] = {}
    for name, *labels in figures(scraped):
        found.setdefault(name, {}).update(dict.fromkeys((label for label, _ in labels), None))
    for family in FAMILIES:
        found.setdefault(family.stored_name, {}).update(closed_sets(family))
    # Their values are known, too: a typing error in a query would otherwise never match.
    found["smsproxy_trouble"]["severity"] = {"critical", "warning"}
    return found


def closed_sets(family: Family) -> dict[str, set[str] | None]:
    sets: dict[str, set[str] | None] = {label: set(family.possible(label)) for label in family.labels}
    return {**sets, "le": None} if isinstance(family, Histogram) else sets


def test_each_query_asks_for_metrics_labels_and_values_that_exist(scraped):
    known = labels_by_name(scraped)
    for query in [*(rule["expr"] for rule in RULES), *QUERIES]:
        check(query, known)


@pytest.mark.parametrize(
    "query",
    [
        "smsproxy_messages_transmitted_total",
        "sum by (state) (smsproxy_trouble)",
        'smsproxy_trouble{level="critical"}',
        'smsproxy_webhooks_total{result="refused"}',
        'smsproxy_webhooks_total{result=~"accepted|refused"}',
    ],
)
def test_a_query_with_a_typing_error_is_found(scraped, query):
    with pytest.raises(AssertionError):
        check(query, labels_by_name(scraped))


def check(query, known):
    names = re.findall(r"smsproxy_\w+", query)
    grouped = {label for group in re.findall(r"by \(([\w, ]+)\)", query) for label in group.split(", ")}

    assert names
    assert set(names) <= set(known)
    assert grouped <= set().union(*(known[name] for name in names)), query
    for name, selector in re.findall(r"(smsproxy_\w+)\{([^}]*)\}", query):
        for label, operator, value in re.findall(r'(\w+)(=~|!~|=|!=)"([^"]*)"', selector):
            assert label in known[name]
            values = known[name][label]
            wanted = value.split("|") if "~" in operator else [value]
            for each in wanted:
                assert values is None or any(re.fullmatch(each, value) for value in values), each


def test_each_alert_says_how_bad_it_is_what_is_wrong_and_where_to_read_more():
    headings = {
        page: re.findall(r"^##+ (\w+)$", doc(page).read_text(), re.MULTILINE) for page in ("monitoring.md", "alerts.md")
    }

    for rule in RULES:
        severities = [*rule.get("labels", {}).values(), *re.findall(r'severity="(\w+)"', rule["expr"])]
        assert severities in (["critical"], ["warning"])
        assert rule["annotations"].keys() == {"summary", "description", "docs"}
        [(page, anchor)] = re.findall(r"^docs/([a-z]+\.md)#(.+)$", rule["annotations"]["docs"])
        assert anchor == "{{ $labels.kind }}" or anchor in map(str.lower, headings[page])
    assert {rule["alert"] for rule in RULES} <= set(headings["monitoring.md"])


def test_the_dashboard_can_be_imported_into_any_grafana():
    """It has an address of its own, and asks for the data source."""
    [datasource] = DASHBOARD["templating"]["list"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]

    assert (DASHBOARD["uid"], DASHBOARD["title"]) == ("smsproxy", "smsproxy")
    assert DASHBOARD["schemaVersion"] >= 30
    assert (datasource["name"], datasource["type"], datasource["query"]) == ("datasource", "datasource", "prometheus")
    assert len(set(ids)) == len(ids)
    for panel in PANELS:
        assert {target["refId"] for target in panel["targets"]}
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
