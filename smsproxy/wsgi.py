"""The WSGI application for gunicorn: `gunicorn smsproxy.wsgi`."""

import os
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smsproxy.settings")

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from smsproxy.carriers import get_carrier
from smsproxy.logs.setup import log_uncaught_errors

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def with_chunked_bodies(application: WSGIApplication) -> WSGIApplication:
    """Wrap the application so that a chunked body gets its length. Without one, Django reads the body as empty.

    This needs a server whose input ends with the body. Otherwise a read could block for ever.
    """

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        is_chunked = environ.get("HTTP_TRANSFER_ENCODING") and not environ.get("CONTENT_LENGTH")
        if is_chunked and environ.get("wsgi.input_terminated"):
            body, is_whole = _read(environ["wsgi.input"], settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
            environ["wsgi.input"] = BytesIO(body)
            # One byte more than was read, so that an incomplete body is treated like any other that is cut short.
            environ["CONTENT_LENGTH"] = str(len(body) + (not is_whole))
        return application(environ, start_response)

    return wrapped


def _read(stream: Any, most: int) -> tuple[bytes, bool]:
    """Return at most this many bytes, and whether the body was read without an error.

    The error is dropped, because the server's message may quote the body.
    """
    body = b""
    try:
        while len(body) < most and (piece := stream.read(most - len(body))):
            body += piece
    except Exception:  # noqa: BLE001  (each server raises its own error for a broken chunk)
        return body, False
    return body, True


log_uncaught_errors()
application = with_chunked_bodies(get_wsgi_application())
# Every webhook needs it: load it before the first request.
get_carrier()
