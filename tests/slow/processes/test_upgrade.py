"""The upgrade from each earlier release: its database, migrated, under the present web server and worker."""

import json
from http.client import HTTPConnection

import pytest

from tests.support.builders import ALICE, BOB
from tests.support.gunicorn_process import Gunicorn
from tests.support.relay_process import Relays, wait_until
from tests.support.release_dump import RELEASES, Release, columns, empty_postgresql, rows
from tests.support.signing import signed_inbound, signed_receipt

VERSIONS = sorted(path.name for path in RELEASES.iterdir() if path.is_dir() and path.name[0].isdigit())
DORA, EMIL, FRITZ = (f"+44770090000{digit}" for digit in (4, 5, 6))  # as in make.py


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=[pytest.mark.postgres, pytest.mark.django_db])])
def database(request, tmp_path):
    """Return the name of the kind of database, and the URL of an empty one."""
    if request.param == "sqlite":
        yield "sqlite", f"sqlite:///{tmp_path}/old.sqlite3"
        return
    with empty_postgresql() as url:
        yield "postgresql", url


class Upgraded:
    """The database of an earlier release after `migrate`, with the present web server."""

    def __init__(self, release, url, columns_before, server, relays, stub):
        self.facts, self.url, self.relays, self.stub = release.facts, url, relays, stub
        self.columns_before = columns_before
        self._server = server

    def post(self, path, params):
        connection = HTTPConnection("127.0.0.1", self._server.port, timeout=20)
        connection.request("POST", path, json.dumps(params), {"Content-Type": "application/json", "Host": "localhost"})
        status = connection.getresponse().status
        connection.close()
        return status

    def text(self, sender, to, words, **fields):
        params = signed_inbound(msisdn=sender[1:], to=to[1:], text=words, **fields)
        return self.post("/webhooks/vonage/inbound-sms", params)

    def receipt(self, **fields):
        return self.post("/webhooks/vonage/delivery-receipt", signed_receipt(**fields))

    def conversation(self):
        connection = HTTPConnection("127.0.0.1", self._server.port, timeout=20)
        headers = {"Authorization": f"Bearer {self.facts['api_key']}", "Host": "localhost"}
        connection.request("GET", f"/api/v1/conversations/{self.facts['conversation']}/", headers=headers)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def fits_older_statements(self):
        """Return whether each column is as before, and an INSERT that does not know a new one works.

        So the older web server and workers can go on while the new ones start.
        """
        after, tables = columns(self.url), {table for table, _ in self.columns_before}
        assert {column: after.get(column) for column in self.columns_before} == self.columns_before
        added = {column: is_optional for column, (_, is_optional) in after.items() if column not in self.columns_before}
        return [column for column, is_optional in added.items() if column[0] in tables and not is_optional] == []

    def state(self, pk):
        return rows(self.url, f"SELECT state FROM conversations_outboundmessage WHERE id = {pk}")[0][0]

    def sent(self):
        """Return the texts that the carrier got, by recipient, in order."""
        found = {}
        for request in self.stub.requests:
            found.setdefault(f"+{request['params']['to']}", []).append(request["params"]["text"])
        return found


@pytest.fixture
def upgraded(version, database, tmp_path, stub):
    vendor, url = database
    release = Release(version, vendor)
    release.load(url)
    before = columns(url)
    server, relays = Gunicorn(tmp_path), Relays(tmp_path, stub, DATABASE_URL=url)
    server.environment = relays.environment | {"ALLOWED_HOSTS": "localhost,sms.example.com", "ALLOWED_COUNTRIES": "*"}
    with server, relays:
        yield Upgraded(release, url, before, server, relays, stub)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_an_earlier_release_has_begun_goes_on_after_the_upgrade(upgraded):
    """One test, because each start of an upgraded system takes seconds."""
    assert upgraded.fits_older_statements()
    main, long, stopped = (upgraded.facts["proxies"][name] for name in ("main", "long", "stopped"))
    # A repeat of a text from before has no effect, and a receipt for one finds it.
    assert upgraded.text(ALICE, main[0], "queued, message 3", messageId="in-3") == 200
    assert upgraded.state(2) == "sent"
    assert upgraded.receipt(messageId="sent-2", client_ref=None) == 200
    assert upgraded.state(2) == "delivered"
    # The rest of a long message completes it, and a reply finds its way.
    rest = {"concat": "true", "concat_ref": "7", "concat_total": "2", "concat_part": "2"}
    assert upgraded.text(EMIL, long[0], "the other half", messageId="in-part-2", **rest) == 200
    assert upgraded.text(BOB, main[1], "a reply", messageId="in-reply") == 200
    # A person who has opted out gets nothing.
    assert upgraded.text("+447700900003", stopped[0], "hello?", messageId="in-to-dora") == 200

    upgraded.relays.start()
    wait_until(lambda: not rows(upgraded.url, "SELECT 1 FROM conversations_outboundmessage WHERE state = 'queued'"))
    wait_until(lambda: not rows(upgraded.url, "SELECT 1 FROM conversations_outboundmessage WHERE state = 'sending'"))

    sent = upgraded.sent()
    assert sent[BOB] == [text for text in upgraded.facts["queued"] if text.startswith("queued, message")]
    assert sent[FRITZ] == ["half of it, the other half"]
    assert sent[ALICE] == ["a reply"]
    assert DORA not in sent
    assert EMIL not in sent
    assert upgraded.state(3) == "unknown"
    assert upgraded.conversation()["status"] == "open"
