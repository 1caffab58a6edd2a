"""Idempotency keys: a request that is sent again gets its first answer, and its work is done once.

    once = Once.of(request, fingerprint)
    with transaction.atomic():
        once.begin()
        ... the work ...
        return once.finish(201, data, location)

The answer is stored in the transaction of the work. Only successes are stored: after an error nothing has happened,
and the key may be sent again. Without the header Idempotency-Key all of this does nothing but build the answer.

A use case that has its own transaction, and may try it several times, is given a guard in place of the lines above:

    guard = Guarded(Once.of(request, fingerprint), lambda made: (201, data_of(made), location_of(made)))
    use_case(..., guard=guard)
    return guard.response
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

from django.db import connection
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from smsproxy.api.authentication import service_of
from smsproxy.api.models import IdempotencyRecord
from smsproxy.api.problems import Problem, ReadyAnswer
from smsproxy.crypto import Unreadable, keyed_hash
from smsproxy.database.clock import DatabaseNow

_VALID = re.compile(r"[\x21-\x7e]{1,255}")
Made = TypeVar("Made")


class Replay(ReadyAnswer):
    """The first answer to a request that was sent again. The exception handler returns it.

    has_body: false for requests of version 0.1, of which only the Location was kept, and if no key decrypts the body.
    """

    def __init__(self, record: IdempotencyRecord) -> None:
        self.record = record
        self.has_body = bool(record.body) and not isinstance(record.body, Unreadable)
        headers = {"Idempotency-Replayed": "true"}
        if record.location:
            headers["Location"] = record.location
        data = json.loads(record.body) if self.has_body else None
        super().__init__(Response(data, status=record.status, headers=headers))


@dataclass(frozen=True, kw_only=True)
class Once:
    """A request that may be sent again.

    key: the header Idempotency-Key, or None without it. request_hash: of the method, path and body.
    request_hash_of_body: the hash that version 0.1 stored.
    """

    service_id: int
    key: str | None
    request_hash: str = field(repr=False)
    request_hash_of_body: str = field(repr=False)

    @classmethod
    def of(cls, request: Request, fingerprint: Any = None) -> Self:
        """Return the request with its key. Raises Problem if the key is not valid.

        fingerprint: the normalised body, as JSON values, by which a repeat is recognised. None: the body as it is.
        """
        key = request.headers.get("Idempotency-Key")
        if key is not None and not _VALID.fullmatch(key):
            raise Problem(
                400,
                "The Idempotency-Key is not valid",
                "Expected 1 to 255 visible ASCII characters in the header Idempotency-Key, such as a UUID.",
                code="idempotency_key_invalid",
            )
        body = json.dumps(request.data if fingerprint is None else fingerprint, sort_keys=True)
        return cls(
            service_id=service_of(request),
            key=key,
            request_hash=keyed_hash(f"{request.method} {request.path} {body}"),
            request_hash_of_body=keyed_hash(body),
        )

    def begin(self) -> None:
        """Raise Replay if the request was answered before. Call it first in the transaction of the work.

        Raises Problem if its first attempt is still running, or if the key belongs to another request. On SQLite, the
        one writer at a time lets a repeat wait for the first attempt.
        """
        if self.key is None:
            return
        if connection.vendor == "postgresql" and not self._lock():
            raise Problem(
                409,
                "The first request with this Idempotency-Key is still running",
                "Send this request again with the same key in a moment, to get the answer of the first one.",
                code="idempotency_in_progress",
                retry_after=1,
            )
        self.raise_if_answered()

    def raise_if_answered(self) -> None:
        """Raise Replay if the request was answered before. Call it before work that costs, such as a paid lookup.

        Raises Problem if the key belongs to another request.
        """
        if self.key is None:
            return
        record = IdempotencyRecord.objects.filter(service_id=self.service_id, key=self.key).first()
        if record is None:
            return
        is_repeat = record.request_hash == self.request_hash
        if not record.body:  # It was kept from version 0.1, where only conversations had a key.
            is_repeat = is_repeat or record.request_hash == self.request_hash_of_body
        if not is_repeat:
            raise Problem(
                422,
                "The Idempotency-Key was used before",
                "This key was sent before with a different request. Use a new key for each new request.",
                code="idempotency_key_reused",
            )
        raise Replay(record)

    def finish(self, status: int, data: Any, location: str = "") -> Response:
        """Store the answer for repeats and return it. Call it last in the transaction of the work."""
        if self.key is not None:
            IdempotencyRecord.objects.create(
                service_id=self.service_id,
                key=self.key,
                request_hash=self.request_hash,
                status=status,
                location=location,
                body=JSONRenderer().render(data).decode() or "null",
                created_at=DatabaseNow(),  # Without a query for it.
            )
        return Response(data, status=status, headers={"Location": location} if location else None)

    def _lock(self) -> bool:
        """Lock the key until the transaction ends. Return False if a concurrent request holds it."""
        digest = bytes.fromhex(keyed_hash(f"idempotency {self.service_id} {self.key}"))
        # Two numbers of 32 bits: the feed of events has the locks of one number of 64 bits.
        numbers = [int.from_bytes(digest[:4], signed=True), int.from_bytes(digest[4:8], signed=True)]
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", numbers)
            [is_ours] = cursor.fetchone()
        return bool(is_ours)


class Guard(Generic[Made]):
    """What a use case calls so that a repeat does not do its work again. This one takes each request as new.

    Its methods may raise: then nothing has happened. Made: what the use case makes.
    """

    def raise_if_answered(self) -> None:
        """Called before anything else, such as a paid lookup."""

    def begin(self) -> None:
        """Called first in the transaction, which may be tried several times."""

    def finish(self, made: Made) -> None:
        """Called late in that transaction."""


UNGUARDED: Guard[Any] = Guard()


class Guarded(Guard[Made]):
    """The guard of an API request. It makes the response in the transaction of the work, where it is stored, too.

    answer: returns the status, the data and the location.
    """

    response: Response

    def __init__(self, once: Once, answer: Callable[[Made], tuple[int, Any, str]]) -> None:
        self._once, self._answer = once, answer

    def raise_if_answered(self) -> None:
        self._once.raise_if_answered()

    def begin(self) -> None:
        self._once.begin()

    def finish(self, made: Made) -> None:
        self.response = self._once.finish(*self._answer(made))
