"""Middleware of the API: how long a request waits for the database, and the headers of a key's rate."""

from collections.abc import Callable

from django.db import OperationalError
from django.http import HttpRequest, HttpResponseBase

from smsproxy.api.authentication import RATE_LIMIT
from smsproxy.api.problems import unavailable
from smsproxy.api.rate_limit import RateLimit
from smsproxy.database.deadline import database_deadline

Respond = Callable[[HttpRequest], HttpResponseBase]

# Seconds for the database. Together with a webhook's own limit, this is below Vonage's 15 seconds. Requests that hold
# all threads of the web server must not delay a webhook any longer.
DATABASE_TIMEOUT = 8.0


def database_deadline_middleware(get_response: Respond) -> Respond:
    """Answer 503 when the database does not respond in time, so that the thread is free for other requests."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        try:
            with database_deadline(seconds=DATABASE_TIMEOUT):
                return get_response(request)
        except OperationalError:
            return unavailable(request)

    return respond


def rate_limit_headers(get_response: Respond) -> Respond:
    """Add the state of the API key's rate to each answer, errors included. The authentication has left it."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        rate: RateLimit | None = request.META.get(RATE_LIMIT)
        if rate is not None:
            for name, value in rate.headers.items():
                response.headers[name] = value
        return response

    return respond
