"""The web application, for gunicorn: `gunicorn smsproxy.wsgi`."""

import os
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smsproxy.settings")

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from smsproxy.carriers import get_carrier

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def with_chunked_bodies(application: WSGIApplication) -> WSGIApplication:
    """Give a chunked body the length that it has: without one, Django takes the body for empty.

    Only from a server that says that its input ends where the body does; else a read could wait for ever.
    """

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        is_chunked = environ.get("HTTP_TRANSFER_ENCODING") and not environ.get("CONTENT_LENGTH")
        if is_chunked and environ.get("wsgi.input_terminated"):
            body, is_whole = _read(environ["wsgi.input"], settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
            environ["wsgi.input"] = BytesIO(body)
            # A byte more than there is: cut short, as any other body of which a part is missing.
            environ["CONTENT_LENGTH"] = str(len(body) + (not is_whole))
        return application(environ, start_response)

    return wrapped


def _read(stream: Any, most: int) -> tuple[bytes, bool]:
    """At most so many bytes, and whether nothing broke on the way. Errors of the server may quote the body."""
    body = b""
    try:
        while len(body) < most and (piece := stream.read(most - len(body))):
            body += piece
    except Exception:  # noqa: BLE001  (each server has its own for a chunk that is broken)
        return body, False
    return body, True


application = with_chunked_bodies(get_wsgi_application())
# Every webhook asks it. Its SDK takes a fifth of a second to import: before the first request, not during it.
get_carrier()
