"""The image and compose.yaml. Without an engine, they are checked by their schema, by a linter and by rules."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.demo_process import BARE, ROOT

COMPOSE = ROOT / "compose.yaml"
TOOLS = Path(sys.executable).parent
EXACT = re.compile(r"[a-z]+:\d+\.\d+(\.\d+)?(-[a-z]+)+")


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load(COMPOSE.read_text())["services"]


def of_the_program(services):
    return {name: service for name, service in services.items() if service["image"] == "smsproxy"}


def test_compose_yaml_matches_the_specification_of_compose():
    command = [str(TOOLS / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_docker_compose_accepts_it_with_the_env_that_init_writes(tmp_path):
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("needs docker-compose")
    for name in ("compose.yaml", "Dockerfile"):
        shutil.copy(ROOT / name, tmp_path)
    init = ["manage.py", "init", "--no-input", "--compose", "--file", tmp_path / ".env", "--carrier", "simulator"]
    named = ["--public-url", "https://sms.example.com", "--operator-name", "Rides & Co $1"]
    subprocess.run([sys.executable, *init, *named], cwd=ROOT, env=BARE, check=True, capture_output=True)

    done = subprocess.run([compose, "config"], cwd=tmp_path, env=BARE, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    shown = yaml.safe_load(done.stdout)["services"]
    password = shown["database"]["environment"]["POSTGRES_PASSWORD"]
    assert f":{password}@database:5432/" in shown["web"]["environment"]["DATABASE_URL"]
    assert shown["proxy"]["environment"]["SITE"] == "https://sms.example.com"


def test_without_an_env_compose_says_what_to_do():
    assert COMPOSE.read_text().count(":?run manage.py init --compose first}") == 2


def test_the_dockerfile_has_no_fault_that_the_linter_knows():
    done = subprocess.run([TOOLS / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_every_service_of_the_program_runs_without_privileges_on_a_read_only_root(services):
    ours = of_the_program(services)

    assert set(ours) == {"migrate", "web", "relay"}
    for service in ours.values():
        assert service["read_only"] is True
        assert service["tmpfs"] == ["/tmp"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_web_server_and_two_workers_wait_for_the_migrations(services):
    for name in ("web", "relay"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["migrate"]["depends_on"]["database"] == {"condition": "service_healthy"}
    assert services["relay"]["deploy"]["replicas"] == 2


def test_only_the_proxy_can_be_reached_and_the_database_reaches_nothing(services):
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert services["database"]["networks"] == ["database"]
    assert yaml.safe_load(COMPOSE.read_text())["networks"]["database"] == {"internal": True}


def test_no_secret_is_written_in_compose_yaml(services):
    assert {service.get("env_file") for service in of_the_program(services).values()} == {".env"}
    assert services["database"]["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")


def test_every_foreign_image_has_an_exact_tag(services):
    dockerfile = (ROOT / "Dockerfile").read_text()
    [base] = re.findall(r"^ARG PYTHON=(\S+)$", dockerfile, re.MULTILINE)
    images = [base, *(service["image"] for service in services.values() if service["image"] != "smsproxy")]

    assert len(images) == 3
    assert [image for image in images if not EXACT.fullmatch(image)] == []
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${PYTHON}"}


def test_the_image_is_built_by_the_script_that_installs_on_a_host_and_runs_as_another_user_than_root():
    dockerfile = (ROOT / "Dockerfile").read_text()
    last = dockerfile.rpartition("FROM ")[2]

    assert "deploy/build.sh /srv/smsproxy" in dockerfile
    assert "build.sh" not in last
    assert re.search(r"^USER [1-9][0-9]+:", last, re.MULTILINE)
    assert "HEALTHCHECK" in last


def test_the_build_gets_what_it_installs_and_nothing_more():
    [parts] = re.findall(r'^parts="(.+)"$', (ROOT / "deploy" / "build.sh").read_text(), re.MULTILINE)
    lines = (ROOT / ".dockerignore").read_text().splitlines()

    assert {line[1:] for line in lines if line.startswith("!")} == set(parts.split())
    assert "*" in lines
    assert "**/.env" in lines
