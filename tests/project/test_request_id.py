"""The id of a request: taken from the proxy or made, and the same in the answer, in the log and in errors."""

import json
import logging
import re
import threading

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from smsproxy.logs.fields import fields_of, request_id
from smsproxy.logs.formats import JsonFormatter
from smsproxy.logs.request_id import request_id_middleware
from tests.support.builders import ALICE

MADE = re.compile(r"[0-9a-f]{32}")
UUID = "550e8400-e29b-41d4-a716-446655440000"


def answer_to(given=None, view=lambda request: HttpResponse(request_id())):
    headers = {} if given is None else {"HTTP_X_REQUEST_ID": given}
    return request_id_middleware(view)(RequestFactory().get("/", **headers))


@pytest.mark.parametrize(
    "given", [UUID, "0123456789abcdef0123456789abcdef", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "req_7.web-2"]
)
def test_a_safe_id_is_kept(given):
    answer = answer_to(given)

    assert answer.headers["X-Request-ID"] == given
    assert answer.content.decode() == given


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "short",
        "x" * 65,
        "two words here",
        "line\r\nSet-Cookie: a=b",
        "ünïcode-id",
        '"},{"quoted',
        ALICE,
        ALICE[1:],
        f"req-{ALICE[1:]}",
        "44-7700-900001",
        "req_44.7700.900001",
    ],
)
def test_any_other_is_replaced_by_an_id_of_our_own(given):
    answer = answer_to(given)

    assert MADE.fullmatch(answer.headers["X-Request-ID"])
    assert answer.content.decode() == answer.headers["X-Request-ID"]


def test_each_thread_has_the_id_of_its_own_request():
    together = threading.Barrier(4)
    seen = {}

    def view(request):
        together.wait(20)
        seen[request.META["HTTP_X_REQUEST_ID"]] = request_id()
        together.wait(20)
        return HttpResponse()

    threads = [threading.Thread(target=answer_to, args=(f"request-{n}", view)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == {f"request-{n}": f"request-{n}" for n in range(4)}


def test_no_id_is_left_after_a_request_even_if_it_fails():
    answer_to(UUID)
    assert request_id() == ""

    def view(request):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        answer_to(UUID, view)
    assert request_id() == ""


def test_every_answer_has_one(client, db):
    for path in ("/", "/admin/login/", "/nowhere", "/webhooks/vonage/inbound-sms", "/api/v1/conversations/"):
        assert client.get(path, headers={"X-Request-ID": UUID}).headers["X-Request-ID"] == UUID


def test_an_error_of_the_api_names_it(api):
    for path in ("/api/v1/conversations/nonsense/", "/api/v1/nowhere"):
        answer = api.get(path, headers={"X-Request-ID": UUID})

        assert json.loads(answer.content)["request_id"] == UUID


def test_a_line_that_django_logs_after_the_middleware_has_it_too(client, db, caplog, monkeypatch):
    from conversations import clock_guard

    monkeypatch.setattr(clock_guard.ClockGuard, "is_wrong", lambda guard: True)
    with caplog.at_level(logging.ERROR):
        client.get("/webhooks/vonage/inbound-sms", headers={"X-Request-ID": UUID})

    [line] = [record for record in caplog.records if record.name == "django.request"]
    assert fields_of(line)["request_id"] == UUID
    assert json.loads(JsonFormatter().format(line))["request_id"] == UUID
