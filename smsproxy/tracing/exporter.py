"""The spans, and their way to the collector. The only module that imports OpenTelemetry.

Each process derives the ids of a trace from those of the message: webhook, worker and receipt are in one trace, and
nothing is stored for it.
"""

import atexit
import hmac
import threading
from collections.abc import Mapping
from typing import cast

from django.conf import settings
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from smsproxy.logs.fields import redacted
from smsproxy.logs.formats import process_name
from smsproxy.version import VERSION

END_TIMEOUT = 2.0  # seconds


class Ids(RandomIdGenerator):
    """Random ids, except for the first span of a trace. first: the ids of the trace and the span, of this thread."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    @property
    def first(self) -> tuple[int, int] | None:
        return getattr(self._of_thread, "first", None)

    @first.setter
    def first(self, ids: tuple[int, int] | None) -> None:
        self._of_thread.first = ids

    def generate_trace_id(self) -> int:
        return self.first[0] if self.first else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return self.first[1] if self.first else super().generate_span_id()


class Exporter:
    """Sends spans from a thread of its own, in batches. What a collector does not take in time is dropped.

    OpenTelemetry's own variables, OTEL_…, set the rest: headers, sampling, timeouts, the service's name.
    """

    def __init__(self) -> None:
        self._ids = Ids()
        about = {SERVICE_NAME: "smsproxy", SERVICE_VERSION: VERSION, "process.name": process_name()}
        self._provider = TracerProvider(
            # The environment wins: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
            resource=Resource.create({**about, **OTELResourceDetector().detect().attributes}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("smsproxy", VERSION)
        # OpenTelemetry would hold up the end of the process for 30 seconds if the collector does not answer. Python
        # starts no thread at the end, so this one waits for it.
        self._ending = threading.Event()
        self._last_spans = threading.Thread(target=self._send_last_spans, name="last-spans", daemon=True)
        self._last_spans.start()
        atexit.register(self.end)

    def end(self) -> None:
        """Send the last spans, for END_TIMEOUT at most."""
        self._ending.set()
        self._last_spans.join(END_TIMEOUT)

    def _send_last_spans(self) -> None:
        self._ending.wait()
        self._provider.shutdown()

    def record(
        self,
        name: str,
        began: int,
        ended: int,
        fields: Mapping[str, object],
        *,
        is_first: bool = False,
        is_served: bool = False,
        is_call: bool = False,
    ) -> None:
        """Record a span. began, ended: nanoseconds since 1970. is_first: it begins the trace of its message."""
        first = trace_of(fields)
        context = Context()
        if first and not is_first:
            context = set_span_in_context(NonRecordingSpan(self._parent(*first)), context)
        kind = SpanKind.SERVER if is_served else SpanKind.CLIENT if is_call else SpanKind.INTERNAL
        attributes = {key: cast(AttributeValue, value) for key, value in redacted(fields).items()}
        self._ids.first = first if is_first else None
        try:
            span = self._tracer.start_span(name, context, kind, attributes, start_time=began)
        finally:
            self._ids.first = None
        span.end(ended)

    def _parent(self, trace: int, span: int) -> SpanContext:
        """Return the first span of a trace, which another process may have recorded, sampled or not."""
        decision = self._provider.sampler.should_sample(None, trace, "").decision
        flags = TraceFlags(TraceFlags.SAMPLED if decision is Decision.RECORD_AND_SAMPLE else TraceFlags.DEFAULT)
        return SpanContext(trace, span, is_remote=True, trace_flags=flags)


def trace_of(fields: Mapping[str, object]) -> tuple[int, int] | None:
    """Return the ids of the message's trace and of its first span, or None without a message."""
    for name in ("inbound_id", "message_ref"):
        if fields.get(name):
            # Other installations that send to the same collector have another key.
            key, value = settings.NUMBER_HASH_KEY.encode(), f"trace {name} {fields[name]}".encode()
            digest = hmac.digest(key, value, "sha256")
            return int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])
    return None
