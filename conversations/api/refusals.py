"""Problems that answer a request which the use cases refuse."""

from conversations.lifecycle.request import (
    CannotCreate,
    NoNumberFree,
    OptedOut,
    ParticipantBlocked,
    RequestedNumberTaken,
)
from conversations.models.limit_usage import Refusal
from smsproxy.api.problems import Problem

# The codes of `cannot_create` and `too_many_at_once`.
CREATION_PROBLEMS = (
    "blocked",
    "destination_not_allowed",
    "no_number_free",
    "number_not_valid",
    "opted_out",
    "proxy_number_taken",
    "proxy_number_unable",
    "proxy_number_unknown",
    "same_number_twice",
    "too_many_at_once",
    "virtual_number",
)


def over_limit(refusal: Refusal) -> Problem:
    minute, day = refusal.limits
    limits = [f"{count} a {period}" for count, period in ((minute, "minute"), (day, "day")) if count]
    return Problem(
        429,
        "A limit is used up",
        f"The limit of {refusal.scope.label} is {' and '.join(limits)}, for all its keys together. Retry the request "
        f"after {refusal.retry_after} seconds.",
        code="over_limit",
        retry_after=refusal.retry_after,
    )


def too_many_at_once() -> Problem:
    return Problem(
        503,
        "Too many concurrent requests",
        "Concurrent requests took every free number. Retry the request.",
        code="too_many_at_once",
    )


def cannot_create(error: CannotCreate, label: str) -> Problem:
    who = f"participant {error.position}" + (f" ({label})" if label else "")
    told = f"{who[0].upper()}{who[1:]}: {error.detail}."
    pointer = f"/participants/{error.position}" + (f"/{error.field}" if error.field else "")
    errors = [{"pointer": pointer, "code": error.code, "detail": error.detail}]
    if isinstance(error, ParticipantBlocked):
        return Problem(409, "A participant is blocked", told, code=error.code, errors=errors)
    if isinstance(error, RequestedNumberTaken):
        return Problem(409, "The virtual number is taken", told, code=error.code, errors=errors)
    if isinstance(error, OptedOut):
        return Problem(409, "A participant has opted out", told, code=error.code, errors=errors)
    if not isinstance(error, NoNumberFree):
        return Problem(400, "The conversation cannot be created", told, code=error.code, errors=errors)
    return Problem(409, "No virtual number is free", told, code=error.code, errors=errors, extra=error.figures)
