"""Readers of the feed, through the API."""

from typing import Any

from rest_framework.test import APIClient

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
