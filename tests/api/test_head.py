"""HEAD answers the headers of a GET, without a body."""

from io import BytesIO

import pytest
from django.core.handlers.wsgi import WSGIHandler

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/livez", "/api/v1/conversations/", "/api/v1/problems/"])
def test_the_application_gives_the_server_no_body_for_a_head(path):
    def ask(method):
        answered = []

        def start_response(status, headers, exc_info=None):
            answered.extend([status, dict(headers)])
            return answered.append

        request = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "wsgi.input": BytesIO(),
            "wsgi.url_scheme": "http",
        }
        body = WSGIHandler()(request, start_response)
        return *answered, b"".join(body)

    (status, headers, body), (expected, _, text) = ask("HEAD"), ask("GET")

    assert status == expected
    assert headers["Content-Length"] == str(len(text))
    assert body == b""
