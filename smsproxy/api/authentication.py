"""Authenticate requests by API key: `Authorization: Bearer sp_…`."""

from typing import Any

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from smsproxy.api.models import ApiKey, KeyStatus
from smsproxy.api.rate_limit import OverRate, RateLimit, count_request

# Where the middleware finds the state of the key's rate. Names of this form never come from a header.
RATE_LIMIT = "smsproxy.rate_limit"


class ApiKeyAuthentication(BaseAuthentication):
    """Sets `request.auth` and `request.user` to the ApiKey, and counts the request against the key's rate."""

    def authenticate(self, request: Request) -> tuple[ApiKey, ApiKey]:
        scheme, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
        key = ApiKey.objects.find(text.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise AuthenticationFailed("Expected the header «Authorization: Bearer <API key>» with a valid key.")
        # Only a caller with the right secret learns this.
        status = key.status(key.read_at)
        if status == KeyStatus.REVOKED:
            raise AuthenticationFailed("This API key was revoked. Use another key.", code="key_revoked")
        if status == KeyStatus.EXPIRED:
            raise AuthenticationFailed("This API key has expired. Use another key.", code="key_expired")
        _count(request, key)
        return key, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def caller(request: Request) -> ApiKey:
    """Return the API key of this request. Use it only in views that HasScope guards."""
    if not isinstance(request.auth, ApiKey):
        raise NotAuthenticated
    return request.auth


def service_of(request: Request) -> int:
    """Return the id of the service whose key this request has. A view shows and changes rows of this service only."""
    service_id: Any = caller(request).service_id  # Type checkers take a foreign key with a default for a nullable one.
    return int(service_id)


def _count(request: Request, key: ApiKey) -> None:
    """Count the request, and leave the state of the key's rate for the headers of the answer."""
    rate: RateLimit | None
    try:
        rate = count_request(key, at=key.read_at)
    except OverRate as error:
        request.META[RATE_LIMIT] = error.rate
        raise
    request.META[RATE_LIMIT] = rate
