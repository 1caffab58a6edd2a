"""Middleware for requests of machines: webhooks, questions about health, and HEAD."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import resolve

Respond = Callable[[HttpRequest], HttpResponseBase]


# A load balancer or a container asks about health by the address of the host, which ALLOWED_HOSTS need not have.
_FOR_MACHINES = ("/webhooks/", "/livez", "/readyz")


def no_body_for_head(get_response: Respond) -> Respond:
    """Drop the body of an answer to HEAD, and keep its length. gunicorn would drop it, and log a warning each time."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if request.method == "HEAD" and isinstance(response, HttpResponse):
            response.headers.setdefault("Content-Length", str(len(response.content)))
            response.content = b""
        return response

    return respond


def machines_first(get_response: Respond) -> Respond:
    """Call the view of a webhook or a health check directly, without the other middleware, which takes longer.

    Sessions, cookies and static files are for browsers. Machines do not need them.
    """

    def respond(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(_FOR_MACHINES):
            return get_response(request)
        view, args, kwargs = resolve(request.path_info)
        response: HttpResponseBase = view(request, *args, **kwargs)
        return response.render() if isinstance(response, SimpleTemplateResponse) else response

    return respond
