"""An installation that the tests of this room share, with its processes and a PostgreSQL of its own."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.support.demo_process import PATIENCE, free_port
from tests.support.gunicorn_process import SIGNATURE_SECRET
from tests.support.installation import Installation, stop
from tests.support.postgres_cluster import Cluster, NoCluster
from tests.support.proxies import Caddy, Proxy
from tests.support.relay_process import wait_until


def pytest_itemcollected(item):
    """Run the tests of this directory in one process, which installs the program once."""
    item.add_marker(pytest.mark.xdist_group("deploy"))


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    with Installation() as installed:
        yield installed


class Site:
    """The site of a newcomer, after the commands of docs/go-live.md. commands: those of manage.py among them."""

    def __init__(self, installation: Installation, directory: Path, database_url: str) -> None:
        self.installation = installation
        self.directory = directory
        self.port = free_port()
        self.proxy: Proxy = Caddy(directory / "caddy", self.port)
        self.url = self.proxy.url
        self._database_url = database_url
        self.commands = {"doctor"}
        self._stack = ExitStack()

    def __enter__(self) -> "Site":
        with self._stack:
            self.proxy.directory.mkdir()
            self.manage(
                *("init", "--no-input", "--public-url", self.url, "--database-url", self._database_url),
                *("--carrier", "simulator", "--operator-name", "Rides Ltd", "--operator-contact", "help.rides.example"),
            )
            self._stack.enter_context(self.proxy)
            # systemd gives services a copy of .env that they can read. So does this.
            self._handed_over = self.installation.folder / "handed-over"
            # Of the tests, so that they can sign as the carrier does.
            secret = f"VONAGE_SIGNATURE_SECRET={SIGNATURE_SECRET}\n"
            self._handed_over.write_text(self.installation.env_file.read_text() + secret)
            with self.installation.env_file.open("a") as file:
                file.write(secret)
            assert self.start("smsproxy-migrate.service").wait(2 * PATIENCE) == 0, self.log
            self.start("smsproxy-web.service", "--bind", f"127.0.0.1:{self.port}")
            self.start("smsproxy-relay@.service")
            self.session = requests.Session()
            self.session.verify = str(self.proxy.ca)
            self.session.trust_env = False  # A variable of the environment would replace the certificate.
            wait_until(lambda: self.session.get(f"{self.url}/admin/login/", timeout=PATIENCE).status_code == 200)
            self.manage("provision_numbers", "--country", "GB", "--count", "2", "--yes")
            self.manage("createsuperuser", "--no-input", DJANGO_SUPERUSER_PASSWORD="tests-only-4711")
            self.authorization = {"Authorization": f"Bearer {self.manage('create_api_key', 'rides-backend').strip()}"}
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def start(self, unit: str, *options: str):
        command = [*self.installation.command_of(unit), *options]
        process = self.installation.start(command, self.directory / "services.log", ENV_FILE=str(self._handed_over))
        self._stack.callback(stop, process)
        return process

    def manage(self, *command: str, **environment: str) -> str:
        """Run a command, which must succeed. Return what it prints."""
        self.commands.add(command[0])
        done = self.installation.manage(
            *command,
            REQUESTS_CA_BUNDLE=str(self.proxy.ca),
            DJANGO_SUPERUSER_USERNAME="staff",
            DJANGO_SUPERUSER_EMAIL="staff@rides.example",
            **environment,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}\n{self.log}"
        return done.stdout

    def doctor(self) -> dict[str, dict[str, str]]:
        """Return the results of `manage.py doctor`, by check."""
        done = self.installation.manage("doctor", "--json", REQUESTS_CA_BUNDLE=str(self.proxy.ca))
        return {found.pop("check"): found for found in json.loads(done.stdout)}

    @property
    def log(self) -> str:
        file = self.directory / "services.log"
        return file.read_text() if file.exists() else ""


@pytest.fixture(scope="session")
def site(installation, tmp_path_factory) -> Iterator[Site]:
    try:
        cluster = Cluster().__enter__()
    except NoCluster as error:
        pytest.skip(str(error))
    try:
        with Site(installation, tmp_path_factory.mktemp("site"), cluster.url) as running:
            yield running
    finally:
        cluster.__exit__()
