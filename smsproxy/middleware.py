"""Middleware that calls a webhook's view before all other middleware."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import resolve

Respond = Callable[[HttpRequest], HttpResponseBase]


def webhooks_first(get_response: Respond) -> Respond:
    """Call the view of a webhook directly, without the other middleware, which takes longer than the view.

    Sessions, cookies and static files are for browsers. A webhook does not need them.
    """

    def respond(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith("/webhooks/"):
            return get_response(request)
        view, args, kwargs = resolve(request.path_info)
        response: HttpResponseBase = view(request, *args, **kwargs)
        return response.render() if isinstance(response, SimpleTemplateResponse) else response

    return respond
