"""Caddy and nginx with the configurations in deploy/, on free ports, in front of a port."""

import os
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.certificate import tls_context
from tests.support.demo_process import BARE, PATIENCE, ROOT, free_port
from tests.support.installation import stop

CADDYFILE = ROOT / "deploy" / "caddy" / "Caddyfile"
NGINX = ROOT / "deploy" / "nginx" / "smsproxy.conf"
# Caddy 2.6 has another word for it: see the Caddyfile.
_BUFFERING = {"REQUEST_BUFFERING": "buffer_requests"}


class Proxy:
    """A running proxy at `url`, trusted with the certificate `ca`, whose logs are `log`."""

    program = ""

    def __init__(self, directory: Path, upstream: int) -> None:
        self.directory = directory
        self.upstream = upstream
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        self.ca = directory / "ca.pem"
        self._output = directory / "output.log"

    def __enter__(self) -> "Proxy":
        found = shutil.which(self.program, path=f"{os.environ['PATH']}:/usr/sbin")
        if found is None:
            pytest.skip(f"needs {self.program}")
        command, environment = self.prepare()
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [found, *command], env=BARE | environment, cwd=self.directory, stdout=output, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + PATIENCE
        while not self._is_up():
            if self._process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise AssertionError(f"{self.program} did not start:\n{self.log}")
            time.sleep(0.05)
        return self

    def __exit__(self, *exc_info: object) -> None:
        stop(self._process)

    def prepare(self) -> tuple[list[str], dict[str, str]]:
        """Write the configuration. Return the arguments of the program, and its environment."""
        raise NotImplementedError

    def _is_up(self) -> bool:
        """Return whether the proxy has its certificate and listens. Caddy makes one when it starts."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as plain:
                context.wrap_socket(plain, server_hostname="localhost").close()
        except OSError:
            return False
        return True

    @property
    def log(self) -> str:
        return "\n".join(file.read_text(errors="replace") for file in sorted(self.directory.glob("*.log")))


class Caddy(Proxy):
    program = "caddy"

    def __init__(self, directory: Path, upstream: int) -> None:
        super().__init__(directory, upstream)
        self.ca = directory / "caddy" / "pki" / "authorities" / "local" / "root.crt"

    def prepare(self) -> tuple[list[str], dict[str, str]]:
        environment = _BUFFERING | {
            "SITE": self.url,
            "UPSTREAM": f"127.0.0.1:{self.upstream}",
            "XDG_DATA_HOME": str(self.directory),
            "XDG_CONFIG_HOME": str(self.directory),
            "HOME": str(self.directory),
            # Its own authority in the place of Let's Encrypt, and no second server for plain http.
            "CADDY_GLOBAL_OPTIONS": "admin off\nskip_install_trust\nauto_https disable_redirects",
            "CADDY_SITE_OPTIONS": "tls internal",
        }
        return ["run", "--config", str(CADDYFILE), "--adapter", "caddyfile"], environment


class Nginx(Proxy):
    program = "nginx"

    def prepare(self) -> tuple[list[str], dict[str, str]]:
        tls_context(self.directory)
        site = NGINX.read_text()
        for written, here in {
            "listen 443 ssl": f"listen {self.port} ssl",
            "listen [::]:443 ssl;": "",
            "listen 80;": f"listen {free_port()};",
            "listen [::]:80;": "",
            "server_name sms.example.com": "server_name localhost",
            "server 127.0.0.1:8000": f"server 127.0.0.1:{self.upstream}",
            "/etc/ssl/smsproxy/fullchain.pem": str(self.directory / "ca.pem"),
            "/etc/ssl/smsproxy/privkey.pem": str(self.directory / "key.pem"),
            "/var/log/nginx": str(self.directory),
        }.items():
            assert written in site, written
            site = site.replace(written, here)
        (self.directory / "site.conf").write_text(site)
        (self.directory / "nginx.conf").write_text(
            f"pid {self.directory}/pid; events {{}} http {{ {_temporary(self.directory)} include site.conf; }}"
        )
        where = ["-p", str(self.directory), "-c", "nginx.conf", "-e", str(self.directory / "main.log")]
        return [*where, "-g", "daemon off;"], {}


def _temporary(directory: Path) -> str:
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{name}_temp_path {directory}/{name};" for name in names)
