"""Middleware that counts the requests of the API, and of /metrics."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from smsproxy.metrics.counting import count
from smsproxy.metrics.families import API_REQUESTS, NO_ROUTE, OTHER_METHOD

Respond = Callable[[HttpRequest], HttpResponseBase]

_COUNTED = ("/api/", "/metrics")
_METHODS = frozenset(API_REQUESTS.possible("method"))


def count_api_requests(get_response: Respond) -> Respond:
    """Count each request of the API by the name of its route, its method and its status.

    A request that no route matched, or that was refused before, has the route "none".
    """

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if request.path_info.startswith(_COUNTED):
            match = request.resolver_match
            count(
                API_REQUESTS,
                route=(match and match.url_name) or NO_ROUTE,
                method=request.method if request.method in _METHODS else OTHER_METHOD,
                status=str(response.status_code),
            )
        return response

    return respond
