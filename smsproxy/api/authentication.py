"""Authenticate requests by API key: `Authorization: Bearer sp_…`."""

from typing import TYPE_CHECKING

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from smsproxy.api.models import ApiKey

if TYPE_CHECKING:
    from rest_framework.views import APIView  # It imports this module, through the settings.


class ApiKeyAuthentication(BaseAuthentication):
    """Sets `request.auth` and `request.user` to the ApiKey, since DRF throttles by user."""

    def authenticate(self, request: Request) -> tuple[ApiKey, ApiKey]:
        scheme, _, key = get_authorization_header(request).decode("latin-1").partition(" ")
        found = ApiKey.objects.find(key.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise AuthenticationFailed(
                "Expected the header «Authorization: Bearer <API key>» with a valid key. "
                "`manage.py create_api_key NAME` creates one."
            )
        return found, found

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def caller(request: Request) -> ApiKey:
    """Return the API key of this request. Use it only in views that HasApiKey guards."""
    if not isinstance(request.auth, ApiKey):
        raise NotAuthenticated
    return request.auth


class HasApiKey(BasePermission):
    message = "This request needs an API key."

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return isinstance(request.auth, ApiKey)
