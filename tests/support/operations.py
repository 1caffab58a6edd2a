"""The declared operations of the API, each with the sample request of tests/support/endpoints.py."""

from dataclasses import dataclass
from typing import Any

from django.urls import resolve, reverse

from smsproxy.api.schema import Operation, operation_of
from tests.support.endpoints import WITHOUT_KEY, Endpoint, World, endpoints

# A value for each parameter of a path. There is no object of this id.
_NOTHING = {"public_id": "6700e7f1-9cc9-4416-acb0-660068ecc461"}


@dataclass(frozen=True)
class Declared:
    """An endpoint with its view, and its declaration or None."""

    endpoint: Endpoint
    view: Any
    operation: Operation | None

    def __str__(self) -> str:
        return str(self.endpoint)

    @property
    def method(self) -> str:
        return self.endpoint.method

    def address(self, world: World) -> str:
        return reverse(self.endpoint.name, kwargs=self.endpoint.sample.path(world))


def operations() -> list[Declared]:
    """Return every operation that needs a key."""
    return [_declared(endpoint) for endpoint in endpoints() if endpoint.name not in WITHOUT_KEY]


def _declared(endpoint: Endpoint) -> Declared:
    names = [part.partition(":")[2].rstrip(">") for part in endpoint.route.split("/") if part.startswith("<")]
    address = reverse(endpoint.name, kwargs={name: _NOTHING.get(name, "0") for name in names})
    view = resolve(address).func.view_class  # type: ignore[attr-defined]
    return Declared(endpoint, view, operation_of(view, endpoint.method))
