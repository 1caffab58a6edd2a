"""Readers of the feed, through the API."""

from functools import cache
from typing import Any

from openapi_schema_validator import OAS31Validator
from rest_framework.test import APIClient

from smsproxy.api.contract import make_schema
from smsproxy.api.models import ApiKey

FEED = "/api/v1/events/"


def client_of(**fields: Any) -> APIClient:
    """Return a client with a new key, with these fields."""
    row, key = ApiKey.objects.issue(f"key {ApiKey.objects.count()}")
    ApiKey.objects.filter(pk=row.pk).update(**fields)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client


def read(client: APIClient, **parameters: Any) -> dict[str, Any]:
    """Return one answer of the feed."""
    answer = client.get(FEED, parameters)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def read_all(client: APIClient, **parameters: Any) -> list[dict[str, Any]]:
    """Return the events after a cursor, or all of them, page by page."""
    found: list[dict[str, Any]] = []
    while (page := read(client, **parameters))["results"]:
        found += page["results"]
        parameters["after"] = page["cursor"]
    return found


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def errors_of(event: dict[str, Any]) -> list[str]:
    """Return in what the event differs from the OpenAPI schema of its type."""
    errors = _validator(event["type"]).iter_errors(event)
    return [f"{event['type']} {error.json_path}: {error.message}" for error in errors]


@cache
def _validator(type_: str) -> Any:
    """Return the validator of the schema that the discriminator names."""
    components = _closed_components()
    reference = components["schemas"]["Event"]["discriminator"]["mapping"][type_]
    return OAS31Validator({"$ref": reference, "components": components})


@cache
def _closed_components() -> dict[str, Any]:
    """Return the components of the OpenAPI schema, changed so that they reject what they do not describe."""
    components: dict[str, Any] = make_schema()["components"]
    for schema in components["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
            if (data := schema["properties"].get("data", {})).get("additionalProperties") == {}:
                data["additionalProperties"] = False
    return components
