"""The language of the admin: as chosen in its header, otherwise as the browser asks. Other pages stay in English."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers

from smsproxy.sign_in.middleware import ADMIN

Respond = Callable[[HttpRequest], HttpResponseBase]


def language_of_staff(get_response: Respond) -> Respond:
    """Middleware: answer requests to the admin in the language of its user."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(ADMIN):
            return get_response(request)
        language = translation.get_language_from_request(request)
        with translation.override(language):
            request.LANGUAGE_CODE = language
            response = get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ["Accept-Language"])
        return response

    return respond
