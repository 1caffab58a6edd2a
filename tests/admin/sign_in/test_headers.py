"""Every page has a strict policy, and no page needs more than it."""

import re
from pathlib import Path

import pytest

from smsproxy.security_headers import NO_PAGE
from tests.support.demo_process import ROOT

POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
}


def policy(answer):
    return set(answer.headers["Content-Security-Policy"].split("; "))


@pytest.mark.parametrize("path", ["/admin/login/", "/", "/admin/nowhere/", "/nowhere/"])
def test_each_page_has_the_strict_policy(client, db, path):
    assert policy(client.get(path)) == POLICY


def test_the_reference_of_the_api_may_not_even_send_forms(client, db):
    assert policy(client.get("/api/v1/docs/")) == POLICY - {"form-action 'self'"} | {"form-action 'none'"}


def test_an_answer_that_is_no_page_may_load_nothing(client, db):
    for path in ("/api/v1/conversations/", "/api/v1/schema/", "/simulator/state"):
        assert client.get(path).headers["Content-Security-Policy"] == NO_PAGE


def test_each_page_has_the_other_headers(client, db):
    headers = client.get("/admin/login/").headers

    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/livez", "/webhooks/vonage/inbound-sms"])
def test_machines_get_none_of_them(client, db, path):
    assert "Content-Security-Policy" not in client.get(path).headers


def templates():
    for app in ("smsproxy", "numbers", "conversations"):
        for folder in (ROOT / app).rglob("templates"):
            yield from (path for path in folder.rglob("*") if path.suffix in (".html", ".svg"))


@pytest.mark.parametrize("path", sorted(templates()), ids=lambda path: Path(path).name)
def test_no_template_has_an_inline_script_or_style(path):
    text = path.read_text()

    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|\|safe\b", text)
    assert re.findall(r"<script(?![^>]*\ssrc=)(?![^>]*type=\"application/json\")", text) == []
