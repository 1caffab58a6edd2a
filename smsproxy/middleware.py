"""What becomes of a request before its view: webhooks go past everything, all others are answered in time."""

from collections.abc import Callable

from django.db import OperationalError
from django.http import HttpRequest, HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import resolve

from smsproxy.api.problems import unavailable
from smsproxy.database.deadline import database_deadline

Respond = Callable[[HttpRequest], HttpResponseBase]

# Seconds for the database. With what a webhook may wait for its own answer, it is less than Vonage's 15 seconds: those
# who hold the threads of the web server must not keep a webhook from its turn for longer.
DATABASE_TIMEOUT = 8.0


def webhooks_first(get_response: Respond) -> Respond:
    """The first middleware: it calls a webhook's view itself, past all the others, which take longer than the view.

    Sessions, cookies, static files are for people and their browsers. A webhook has no use for them.
    """

    def respond(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith("/webhooks/"):
            return get_response(request)
        view, args, kwargs = resolve(request.path_info)
        response: HttpResponseBase = view(request, *args, **kwargs)
        return response.render() if isinstance(response, SimpleTemplateResponse) else response

    return respond


def database_deadline_middleware(get_response: Respond) -> Respond:
    """A request whose database does not answer ends, so that its thread is free for others."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        try:
            with database_deadline(seconds=DATABASE_TIMEOUT):
                return get_response(request)
        except OperationalError:
            return unavailable(request)

    return respond
