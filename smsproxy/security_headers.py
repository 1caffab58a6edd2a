"""Security headers of every answer but those to machines, which machines_first answers before."""

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase

# For what is no page, such as an answer of the API. A constant costs the API nothing.
NO_PAGE = "default-src 'none'; frame-ancestors 'none'"
PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in (
        *("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone"),
        *("midi", "payment", "publickey-credentials-get", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking"),
    )
)


class SecurityHeaders(CSPMiddleware):
    """Add the Content-Security-Policy of the settings and a Permissions-Policy to pages, and a constant to the rest."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not response.headers.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault(HEADER, NO_PAGE)
            return response
        response.headers["Permissions-Policy"] = PERMISSIONS
        return super().process_response(request, response)
