"""Tracing: off it costs nothing, on it sends only fields of ours, and a missing extra is not silent."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from django.core.checks import run_checks

from smsproxy import tracing
from tests.project.test_logs import output_of
from tests.support.builders import ALICE
from tests.support.otlp_collector import Collector, attributes

REF = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
NOW = datetime(2020, 12, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def collector(settings, monkeypatch):
    with Collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        settings.OTEL_EXPORTER_OTLP_ENDPOINT = running.url
        monkeypatch.setattr(tracing, "_exporter", None)
        yield running


def attempt(number=1, **fields):
    tracing.record_attempt(
        {"message_ref": REF, "attempt": number, **fields},
        queued_at=NOW,
        claimed_at=NOW + timedelta(seconds=2),
        seconds=0.5,
    )


@pytest.mark.slow
def test_without_an_endpoint_nothing_of_opentelemetry_is_loaded():
    code = "import sys; from smsproxy import tracing; tracing.start(); print('opentelemetry' in sys.modules)"

    assert output_of(code) == "False\n"


def test_a_missing_extra_is_said_by_the_check_and_at_the_start(settings, monkeypatch, caplog):
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:4318"
    monkeypatch.setattr(tracing, "is_installed", lambda: False)
    monkeypatch.setattr(tracing, "_exporter", None)

    with caplog.at_level(logging.ERROR):
        tracing.start()

    assert "OpenTelemetry is not installed" in caplog.text
    assert "requirements-otel.txt" in caplog.text
    assert "smsproxy.W005" in {problem.id for problem in run_checks()}


def test_a_span_has_only_known_fields_without_numbers(collector):
    tracing.start()
    tracing.record_webhook("receive", {"inbound_id": 7, "code": ALICE, "text": "lighthouse", "outcome": "relayed"})
    tracing._exporter.end()

    [span] = collector.spans
    assert attributes(span) == {"inbound_id": 7, "code": "[number]", "outcome": "relayed"}
    assert not [request for request in collector.received if b"lighthouse" in request or ALICE[1:].encode() in request]


def test_the_attempts_of_a_message_of_our_own_are_one_trace_that_begins_in_the_queue(collector):
    tracing.start()
    attempt()
    attempt(2)
    tracing._exporter.end()

    queue, *sends = collector.spans
    assert [queue.name, *(span.name for span in sends)] == ["queue", "send", "send"]
    assert not queue.parent_span_id
    assert {(span.trace_id, span.parent_span_id) for span in sends} == {(queue.trace_id, queue.span_id)}
    assert queue.end_time_unix_nano - queue.start_time_unix_nano == 2_000_000_000
    assert sends[0].end_time_unix_nano - sends[0].start_time_unix_nano == pytest.approx(500_000_000, abs=10)


def test_a_webhook_lasts_from_its_arrival(collector, monkeypatch):
    moments = iter([1_000, 5_000])
    tracing.start()
    monkeypatch.setattr("smsproxy.tracing.time_ns", lambda: next(moments))
    with tracing.arrival():
        tracing.record_webhook("receive", {"inbound_id": 7, "outcome": "relayed"})
    tracing._exporter.end()

    [span] = collector.spans
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1_000, 5_000)


def test_a_trace_is_sampled_as_a_whole(collector, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    tracing.start()
    for inbound_id in range(1, 41):
        tracing.record_webhook("receive", {"inbound_id": inbound_id, "outcome": "relayed"})
        attempt(inbound_id=inbound_id)
        tracing.record_webhook("receipt", {"inbound_id": inbound_id, "status": "delivered"})
    tracing._exporter.end()

    names = {}
    for span in collector.spans:
        names.setdefault(span.trace_id, []).append(span.name)
    assert 0 < len(names) < 40
    assert {tuple(sorted(each)) for each in names.values()} == {("queue", "receipt", "receive", "send")}


def test_another_installation_has_other_traces(collector, settings):
    from smsproxy.tracing.exporter import trace_of

    here = trace_of({"inbound_id": 7})
    settings.NUMBER_HASH_KEY = "another key of more than thirty-two characters"

    assert trace_of({"inbound_id": 7}) != here
    assert trace_of({}) is None
