"""The scope that a request needs: `read` for GET, HEAD and OPTIONS, `write` for every other method.

A view overrides this for single methods: `scopes = {"POST": "read"}`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from smsproxy.api.models import ApiKey
from smsproxy.api.scopes import Scope

if TYPE_CHECKING:
    from rest_framework.views import APIView  # It imports this module, through the settings.


def required_scope(view: "APIView", method: str) -> Scope:
    """Return the scope that a key needs for this method of the view."""
    scopes: Mapping[str, str] = getattr(view, "scopes", {})
    return Scope(scopes.get(method) or (Scope.READ if method in SAFE_METHODS else Scope.WRITE))


def require_scope(key: ApiKey, scope: Scope) -> None:
    """Raise PermissionDenied with the code `scope_missing` if the key does not have this scope."""
    if key.has_scope(scope):
        return
    found = " and ".join(f"«{each}»" for each in key.scopes.split())
    raise PermissionDenied(
        f"Expected a key with the scope «{scope}». The key of this request has {found}. Use another key.",
        code="scope_missing",
    )


class HasScope(BasePermission):
    """Admits an API key that has the scope of the request."""

    message = "This request needs an API key."

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if not isinstance(request.auth, ApiKey):
            return False
        method = request.method or ""
        # A method that the view does not have is a 405, whatever the key may do.
        if method.lower() in view.http_method_names and hasattr(view, method.lower()):
            require_scope(request.auth, required_scope(view, method))
        return True
