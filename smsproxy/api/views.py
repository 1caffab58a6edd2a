"""The base class of the views of the API. It holds each request to the declared contract."""

from typing import Any

from rest_framework.exceptions import MethodNotAllowed, ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from smsproxy.api.fields import NoOptionsSerializer, NoParameters
from smsproxy.api.schema import operation_of


class ApiView(APIView):
    """A view that rejects query parameters and bodies which its operation does not declare.

    Put it first among the base classes of a generic view. Unlike DRF, it has no OPTIONS: the schema describes the API.
    """

    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    # The validated query parameters.
    parameters: dict[str, Any]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the key first. Then the request may be judged."""
        super().initial(request, *args, **kwargs)
        method = str(request.method).lower()
        if method not in self.http_method_names or not hasattr(self, method):
            raise MethodNotAllowed(str(request.method))
        operation = operation_of(self, request.method)
        query = (operation and operation.parameters) or NoParameters
        asked = query(data=request.query_params)
        asked.is_valid(raise_exception=True)
        self.parameters = asked.validated_data
        if operation is not None and operation.request is None:
            _reject_body(request)


def _reject_body(request: Request) -> None:
    """Raise ValidationError for a body with anything in it. Clients may send {} with a POST that takes nothing."""
    if request.method in ("GET", "HEAD"):
        if request.META.get("CONTENT_LENGTH") not in (None, "", "0"):
            raise ValidationError("Expected no body.", code="unexpected_body")
        return
    NoOptionsSerializer(data=request.data).is_valid(raise_exception=True)
