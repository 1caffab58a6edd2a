"""Checks of our requests, example answers and example webhooks against Vonage's own API descriptions.

The descriptions in tests/openapi/ are Vonage's last published ones, of July 2021. Each later change of the API is
corrected here, with its reason.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from openapi_core import OpenAPI
from openapi_core.contrib.requests import RequestsOpenAPIRequest
from openapi_schema_validator import OAS30Validator
from requests import PreparedRequest

SPECS = Path(__file__).parent.parent / "openapi"


@cache
def description(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load((SPECS / f"{name}.yml").read_text())
    # Credentials are now sent in the Authorization header, as HTTP Basic. They were query or body parameters.
    spec.pop("security", None)
    if name == "sms":
        spec["components"]["schemas"]["NewMessage"]["required"].remove("api_key")
    if name == "numbers":
        for parameter in spec["paths"]["/number/search"]["get"]["parameters"]:
            # The SDK sends the same combination in another order.
            if parameter.get("name") == "features":
                parameter["schema"]["enum"].append("SMS,VOICE,MMS")
    return spec


@cache
def _openapi(name: str) -> OpenAPI:
    return OpenAPI.from_dict(description(name))


def check_request(name: str, request: PreparedRequest) -> None:
    """Raise unless Vonage's description of this API allows the request."""
    _openapi(name).validate_request(RequestsOpenAPIRequest(request))


def check_schema(name: str, schema: str, body: Any) -> None:
    """Raise unless the body matches this schema and has no unknown field."""
    found = description(name)["components"]["schemas"][schema]
    OAS30Validator(_resolved(found, description(name))).validate(body)
    unknown = set(body) - set(found["properties"]) - {"sig"}
    assert not unknown, f"{schema} does not have {sorted(unknown)}"


def _resolved(node: Any, spec: dict[str, Any]) -> Any:
    """Return the schema with its references resolved."""
    if isinstance(node, dict):
        if "$ref" in node:
            target: Any = spec
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            return _resolved(target, spec)
        return {key: _resolved(value, spec) for key, value in node.items()}
    return [_resolved(item, spec) for item in node] if isinstance(node, list) else node
