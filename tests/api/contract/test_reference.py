"""The pages about the API: they need no key and no other host, and hold to a strict policy."""

import json

import pytest
import yaml
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from smsproxy.api.problem_types import PROBLEMS
from tests.support.browser import SECONDS, chromium, soon

SCHEMA = "/api/v1/schema/"
PAGES = ["/api/v1/docs/", "/api/v1/problems/", "/api/v1/problems/invalid/"]


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_reference_shows_each_operation_without_a_violation_of_its_policy(live_server):
    with chromium() as page:
        page.get(f"{live_server.url}/api/v1/docs/")
        soon(page, "#operations-conversations-create_conversation")
        page.find_element(By.CSS_SELECTOR, "#operations-conversations-create_conversation button").click()
        shown = soon(page, "#operations-conversations-create_conversation .responses-wrapper")
        WebDriverWait(page, SECONDS).until(lambda _: "no_number_free" in shown[0].text)
        log = page.get_log("browser")

    assert [entry for entry in log if entry["level"] in ("SEVERE", "WARNING")] == []


@pytest.mark.parametrize("url", PAGES)
def test_the_pages_load_nothing_from_another_host_and_run_no_inline_script(client, url):
    response = client.get(url)

    policy = dict(each.strip().split(" ", 1) for each in response["Content-Security-Policy"].split(";"))
    assert response.status_code == 200
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert "//" not in policy["connect-src"] + policy["img-src"]


def test_the_schema_is_json_or_yaml_by_the_accept_header_or_the_query(client):
    as_json = client.get(SCHEMA)
    as_yaml = client.get(SCHEMA, headers={"Accept": "application/yaml"})

    assert (as_json["Content-Type"], as_yaml["Content-Type"]) == ("application/json", "application/yaml")
    assert json.loads(as_json.content) == yaml.safe_load(as_yaml.content)
    assert client.get(SCHEMA, {"format": "yaml"}).content == as_yaml.content
    assert json.loads(as_json.content)["openapi"] == "3.1.0"


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_the_type_of_each_problem_is_a_page_that_explains_it(client, code, settings):
    page = client.get(f"/api/v1/problems/{code}/").content.decode()

    assert code in page
    assert f"{settings.PUBLIC_URL}/api/v1/problems/{code}/" in page
    assert f"/api/v1/problems/{code}/" in client.get("/api/v1/problems/").content.decode()


def test_an_unknown_problem_is_a_404(client):
    assert client.get("/api/v1/problems/no-such-problem/").status_code == 404
