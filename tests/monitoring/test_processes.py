"""A scrape of the web server shows what all processes have counted: its own, a command's and a worker's."""

import json

import pytest

from tests.support.gunicorn_process import Gunicorn
from tests.support.relay_process import wait_until
from tests.support.scraping import URL, figures, of
from tests.support.signing import signed_inbound

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("servers")]

TOKEN = "the-token-of-the-scraper-of-these-tests"
MESSAGES = 8
SET_UP = """
from io import StringIO
from django.core.management import call_command
call_command("provision_numbers", "--country=GB", "--count=2", "--yes", stdout=StringIO())
from tests.support.builders import ALICE, BOB, proxies, talk
print(proxies(talk(ALICE, BOB))[0])
"""


def scrape(server):
    head = f"GET {URL} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    answer = server.send(head.encode())
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
    return figures(answer.partition(b"\r\n\r\n")[2].decode())


def post(server, params):
    body = json.dumps(params).encode()
    head = f"POST /webhooks/vonage/inbound-sms HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/json\r\nConnection: close\r\n\r\n"
    assert server.send(head.encode() + body).startswith(b"HTTP/1.1 200")


def test_a_scrape_shows_what_every_process_has_counted(tmp_path):
    server = Gunicorn(tmp_path)
    server.environment["METRICS_TOKEN"] = TOKEN
    with server:
        proxy = server.manage("shell", "-v0", "-c", SET_UP)
        after_the_command = scrape(server)
        for index in range(MESSAGES):  # Both processes of the server get some of them.
            post(server, signed_inbound(msisdn="447700900001", to=proxy[1:], messageId=f"id-{index}"))
        server.manage("relay", "--once")
        accepted = of("webhooks_total", endpoint="inbound-sms", result="accepted")
        wait_until(lambda: scrape(server)[accepted] >= MESSAGES, every=0.5)
        found = scrape(server)

    assert after_the_command[of("carrier_calls_total", call="buy", result="ok")] == 2
    assert found[accepted] == found[of("messages_received_total", outcome="relayed")] == MESSAGES
    assert found[of("messages_sent_total", kind="relay")] == MESSAGES
    assert found[of("webhook_to_carrier_seconds_count")] == MESSAGES
    assert found[of("webhook_ack_seconds_count", endpoint="inbound-sms")] == MESSAGES
