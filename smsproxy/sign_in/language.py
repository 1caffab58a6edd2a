"""The language of the admin and the phones: as chosen in the admin's header, otherwise as the browser asks.

The API stays in English.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers

from smsproxy.sign_in.middleware import ADMIN

# The phones of the demo, and what they ask for. See conversations/phones/urls.py.
PHONES, SIMULATOR = "/", "/simulator/"
Respond = Callable[[HttpRequest], HttpResponseBase]


def language_of_staff(get_response: Respond) -> Respond:
    """Middleware: answer requests to the admin and to the phones in the language of their user."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if path != PHONES and not path.startswith((ADMIN, SIMULATOR)):
            return get_response(request)
        language = translation.get_language_from_request(request)
        with translation.override(language):
            request.LANGUAGE_CODE = language
            response = get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ["Accept-Language"])
        return response

    return respond
