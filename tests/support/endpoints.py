"""Every endpoint of the API, found by walking the URLs, and a sample request to each.

An endpoint without a sample fails tests/api/keys/test_every_endpoint.py: add one to SAMPLES, under the name of its URL
and its method.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

import pytest
from django.apps import apps
from django.urls import URLPattern, get_resolver, reverse
from rest_framework.test import APIClient

from conversations.models import Conversation
from smsproxy.api.models import ApiKey
from smsproxy.api.scopes import Scope
from smsproxy.services.models import Service
from tests.support.api_requests import asked_for
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, proxies, talk
from tests.support.empty_database import tables_with_rows

PREFIX = "api/v1/"
# Answered without a key: they tell nothing about any service.
WITHOUT_KEY = {"schema", "reference", "problems", "problem"}


class Others(Enum):
    """What the key of another service gets."""

    NOT_FOUND = "404"
    EMPTY = "an empty list"
    OWN = "an answer about its own service"


class World:
    """A service with rows of every kind. The other service, `parcels`, has none."""

    def __init__(self) -> None:
        self.numbers = [each.number for each in add_numbers(8)]
        self.service = Service.objects.create(name="rides")
        self.other = Service.objects.create(name="parcels")
        self._owner, _ = ApiKey.objects.issue("owner", service=self.service)

    @cached_property
    def conversation(self) -> Conversation:
        return talk(ALICE, BOB, CHARLIE, created_by=self._owner, reference="order-1", ttl=86400)

    @cached_property
    def closed(self) -> Conversation:
        conversation = talk(ALICE, CHARLIE, created_by=self._owner, reference="order-2")
        conversation.close()
        return conversation

    @cached_property
    def message(self) -> str:
        """The id of a message that the service sent."""
        address = reverse("messages", kwargs={"public_id": self.conversation.public_id})
        return self._create(address, {"text": "Your driver is here."})

    @cached_property
    def block(self) -> str:
        """The id of a block that the service made."""
        return self._create(reverse("blocks"), {"number": STRANGER, "reason": "spam"})

    def _create(self, address: str, body: dict[str, Any]) -> str:
        answer = self.client(self.service).post(address, body)
        assert answer.status_code == 201, answer.content
        return str(answer.json()["id"])

    def client(self, service: Service, *scopes: str) -> APIClient:
        """Return a client with a new key of this service, by default with every scope."""
        _, text = ApiKey.objects.issue(
            f"key {ApiKey.objects.count()}", service=service, scopes=" ".join(scopes or Scope)
        )
        return client_with(text)


def client_with(key: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client


Of = Callable[[World], Any]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A request that a key of the service `rides` with this scope may make.

    path: the parameters of the URL. body, query, headers: of the request. status: of the answer.
    """

    scope: Scope = Scope.READ
    status: int = 200
    others: Others = Others.NOT_FOUND
    path: Of = field(default=lambda world: {})
    body: Of = field(default=lambda world: {})
    query: Of = field(default=lambda world: {})
    headers: Mapping[str, str] = field(default_factory=dict)


def _conversation(world: World) -> dict[str, Any]:
    return {"public_id": world.conversation.public_id}


def _closed(world: World) -> dict[str, Any]:
    return {"public_id": world.closed.public_id}


def _participant(world: World) -> dict[str, Any]:
    return {"public_id": world.conversation.public_id, "position": 2}


def _block(world: World) -> dict[str, Any]:
    return {"public_id": world.block}


SAMPLES: Mapping[tuple[str, str], Sample] = {
    ("conversations", "GET"): Sample(others=Others.EMPTY),
    ("conversations", "POST"): Sample(
        scope=Scope.WRITE, status=201, others=Others.OWN, body=lambda world: asked_for(BOB, CHARLIE)
    ),
    ("dry-run", "POST"): Sample(others=Others.OWN, body=lambda world: asked_for(BOB, CHARLIE)),
    ("conversation", "GET"): Sample(path=_conversation),
    ("conversation", "PATCH"): Sample(
        scope=Scope.WRITE, path=_conversation, body=lambda world: {"metadata": {"driver": 7}}
    ),
    ("close-conversation", "POST"): Sample(scope=Scope.WRITE, path=_conversation),
    ("extend-conversation", "POST"): Sample(scope=Scope.WRITE, path=_conversation, body=lambda world: {"seconds": 60}),
    ("reopen-conversation", "POST"): Sample(scope=Scope.WRITE, path=_closed),
    ("explain-route", "GET"): Sample(
        others=Others.OWN,
        query=lambda world: {"to": proxies(world.conversation)[0]},
        headers={"From-Number": ALICE},
    ),
    ("participants", "GET"): Sample(path=_conversation),
    ("participants", "POST"): Sample(
        scope=Scope.WRITE, status=201, path=_conversation, body=lambda world: {"number": STRANGER}
    ),
    ("participant", "GET"): Sample(path=_participant),
    ("participant", "PATCH"): Sample(scope=Scope.WRITE, path=_participant, body=lambda world: {"label": "Driver"}),
    ("participant", "DELETE"): Sample(scope=Scope.WRITE, status=204, path=_participant),
    ("messages", "GET"): Sample(path=_conversation),
    ("messages", "POST"): Sample(
        scope=Scope.WRITE, status=201, path=_conversation, body=lambda world: {"text": "Your driver is here."}
    ),
    ("message", "GET"): Sample(path=lambda world: {"public_id": world.message}),
    ("blocks", "GET"): Sample(others=Others.EMPTY),
    ("blocks", "POST"): Sample(
        scope=Scope.WRITE, status=201, others=Others.OWN, body=lambda world: {"number": ALICE, "reason": "spam"}
    ),
    ("block", "GET"): Sample(path=_block),
    ("end-block", "POST"): Sample(scope=Scope.WRITE, path=_block),
    ("events", "GET"): Sample(others=Others.EMPTY),
    ("schema", "GET"): Sample(),
    ("reference", "GET"): Sample(),
    ("problems", "GET"): Sample(),
    ("problem", "GET"): Sample(path=lambda world: {"code": "not_found"}),
}


@dataclass(frozen=True)
class Endpoint:
    """A method of a URL. route: as in the URL configuration."""

    name: str
    method: str
    route: str

    def __str__(self) -> str:
        return f"{self.method} {self.route}"

    @property
    def sample(self) -> Sample:
        if (self.name, self.method) not in SAMPLES:
            pytest.fail(f"{self} has no sample: add ({self.name!r}, {self.method!r}) to tests/support/endpoints.py.")
        return SAMPLES[self.name, self.method]

    def request(self, client: APIClient, world: World) -> Any:
        """Send the sample request, and return the answer."""
        sample = self.sample
        address = reverse(self.name, kwargs=sample.path(world))
        query = sample.query(world)
        body = None if self.method == "GET" else sample.body(world)
        send = getattr(client, self.method.lower())
        return send(address, body, headers=sample.headers, query_params=query)


def endpoints() -> list[Endpoint]:
    """Return every method of every URL of the API, sorted."""
    return sorted(_found(get_resolver().url_patterns), key=str)


def _found(patterns: Any, prefix: str = "") -> Iterator[Endpoint]:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if not isinstance(pattern, URLPattern):
            yield from _found(pattern.url_patterns, route)
        elif route.startswith(PREFIX):
            view = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
            names = ["get"] if view is None else view.http_method_names
            for method in names:
                if method not in ("head", "options") and (view is None or hasattr(view, method)):
                    yield Endpoint(pattern.name or "", method.upper(), route)


def everything() -> dict[str, list[Any]]:
    """Return all rows of all tables, except the keys: each request of a valid key is counted there."""
    models = {model._meta.db_table: model for model in apps.get_models() if model is not ApiKey}
    return {
        table: sorted(map(repr, models[table]._default_manager.values_list())) for table in tables_with_rows([*models])
    }


def rows_of(service: Service) -> dict[str, list[Any]]:
    """Return the rows that belong to this service, by their table."""
    return {
        model._meta.label: list(model._default_manager.filter(service=service).order_by("pk").values_list())
        for model in apps.get_models()
        if model is not ApiKey and any(each.name == "service" for each in model._meta.fields)
    }
