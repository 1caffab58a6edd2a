"""The OpenAPI schema of the declared operations, for drf-spectacular. It is loaded only to make the schema."""

import json
import re
from collections.abc import Sequence
from inspect import cleandoc
from typing import Any

from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import SAFE_METHODS

from smsproxy.api import openapi_problems
from smsproxy.api.fields import NoOptionsSerializer, StrictSerializer
from smsproxy.api.permissions import required_scope
from smsproxy.api.schema import Header, Operation, operation_of
from smsproxy.phone import E164_EXAMPLE, E164_PATTERN

IDEMPOTENCY_KEY = Header(
    name="Idempotency-Key",
    description="Lets the request be repeated: the repeat of a request that was answered with success gets the same "
    "answer, for a day. Use a new key, such as a UUID, for each new request.",
    pattern=r"^[!-~]{1,255}$",
    example="order-42-buyer-seller",
)
# Headers of answers.
HEADERS = {
    "X-Request-ID": ("The id of this request in the logs.", {"type": "string"}),
    "RateLimit-Limit": ("Requests that the key may make in a minute.", {"type": "integer"}),
    "RateLimit-Remaining": ("Requests that are left at this moment.", {"type": "integer"}),
    "RateLimit-Reset": ("Seconds until the whole limit is free again.", {"type": "integer"}),
    "Retry-After": ("Seconds to wait before the request is repeated.", {"type": "integer"}),
    "Location": ("The URL of what was created.", {"type": "string", "format": "uri"}),
    "Idempotency-Replayed": (
        "`true` if this is the first answer to the same Idempotency-Key.",
        {"type": "string", "enum": ["true"]},
    ),
}


class Schema(AutoSchema):
    """What drf-spectacular asks about one operation, answered from its declaration."""

    method: str
    view: Any

    def declared(self) -> Operation:
        found = operation_of(self.view, self.method)
        if found is None:
            raise TypeError(
                f"{type(self.view).__name__}.{self.method.lower()} needs @operation of smsproxy/api/schema.py"
            )
        return found

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, Any] | None:
        made = super().get_operation(path, path_regex, path_prefix, method, registry)
        if made is None:
            return None
        operation = self.declared()
        for status, answer in made["responses"].items():
            answer["headers"] = {name: _header_ref(name) for name in self._headers(operation, int(status))}
            answer["description"] = answer["description"] or ("Created" if status == "201" else "Success")
        takes = {each["name"]: each for each in made.get("parameters", ())}
        for name, meaning in operation.path.items():
            takes[name]["description"] = meaning
        made["responses"] |= openapi_problems.responses(self._codes(operation))
        return made

    def get_operation_id(self) -> str:
        return self.declared().id

    def get_summary(self) -> str:
        return self.declared().summary

    def get_description(self) -> str:  # type: ignore[override]  # as in drf-spectacular
        operation = self.declared()
        method = getattr(self.view, self.method.lower())
        text = operation.description or method.__doc__ or type(self.view).__doc__ or ""
        scope = f"\n\nScope: `{scope}`." if (scope := self.scope()) else ""
        return f"{cleandoc(text)}{scope}"

    def is_deprecated(self) -> bool:
        return self.declared().deprecated

    def get_tags(self) -> list[str]:
        """Return the last collection in the path: the messages of a conversation are with the messages."""
        collections = {tag["name"] for tag in spectacular_settings.TAGS}
        parts = self._tokenize_path()
        return [next((part for part in reversed(parts) if part in collections), parts[0])]

    def scope(self) -> str:
        """Return the scope that the request needs, or "" if it needs no key."""
        if not self.view.get_authenticators():
            return ""
        return required_scope(self.view, self.method).value

    def get_auth(self) -> list[dict[str, Any]]:
        auth: list[dict[str, Any]] = super().get_auth()
        return [{name: [self.scope()] for name in each} for each in auth]

    def get_request_serializer(self) -> Any:
        return self.declared().request or NoOptionsSerializer

    def get_response_serializers(self) -> Any:
        return dict(self.declared().answers)

    def get_override_parameters(self) -> list[Any]:
        operation = self.declared()
        headers = [*operation.headers, *([IDEMPOTENCY_KEY] if operation.creates else [])]
        query = [operation.parameters] if operation.parameters else []
        return [*query, *map(_parameter, headers)]

    def _headers(self, operation: Operation, status: int) -> list[str]:
        names = ["X-Request-ID"]
        if self.scope():
            names += ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]
        if operation.creates:
            names.append("Idempotency-Replayed")
        return [*names, *(["Location"] if status == 201 else [])]

    def _codes(self, operation: Operation) -> set[str]:
        codes = {*operation.problems, "invalid", "server_error", "database_unavailable", "clock_wrong"}
        if self.scope():
            codes |= {"authentication_failed", "key_expired", "key_revoked", "scope_missing", "rate_limited"}
        if "{" in self.path:
            codes.add("not_found")
        if self.method not in SAFE_METHODS:
            codes |= {"parse_error", "unreadable_body", "body_too_large", "unsupported_media_type"}
        if operation.creates:
            codes |= {"idempotency_key_invalid", "idempotency_in_progress", "idempotency_key_reused"}
        return codes


def _parameter(header: Header) -> OpenApiParameter:
    kind: dict[str, Any] = {"type": "string", "pattern": header.pattern or None, "examples": [header.example]}
    return OpenApiParameter(
        header.name,
        {name: value for name, value in kind.items() if value},
        OpenApiParameter.HEADER,
        required=header.required,
        description=header.description,
    )


def _header_ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


class KeyExtension(OpenApiAuthenticationExtension):
    target_class = "smsproxy.api.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "sp_<prefix>_<secret>",
            "description": "An API key. Scopes: `read` for every GET and for requests that change nothing, `write` for "
            "changes, `numbers` for what concerns the virtual numbers and the service's health.",
        }


class SerializerExtension(OpenApiSerializerExtension):
    """Adds the serializer's `example` and `description`, and says that a strict one takes no unknown field.

    `one_of`: serializers by the value of the field `discriminator`. The serializer is shown as one of them.
    """

    target_class = "rest_framework.serializers.Serializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        found = self._map(auto_schema, direction)
        if description := getattr(self.target, "description", None):
            found["description"] = description
        if example := getattr(self.target, "example", None):
            found["examples"] = [example]
        return found

    def _map(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        if one_of := getattr(self.target, "one_of", None):
            refs = {value: auto_schema.resolve_serializer(each(), direction).ref for value, each in one_of.items()}
            mapping = {str(value): ref["$ref"] for value, ref in refs.items()}
            discriminator = {"propertyName": self.target.discriminator, "mapping": mapping}
            return {"oneOf": list(refs.values()), "discriminator": discriminator}
        found: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        for schema in found.get("properties", {}).values():
            _allow_blank(schema)
        if isinstance(self.target, StrictSerializer):
            found["additionalProperties"] = False
        elif "properties" in found:
            # An answer has all its fields, always.
            found["required"] = sorted(found["properties"])
            for schema in found["properties"].values():
                # What the columns of this database hold is not part of the contract.
                for limit in ("maximum", "minimum"):
                    schema.pop(limit, None)
                if schema.get("format") == "int64":
                    del schema["format"]
        return found


def _allow_blank(schema: dict[str, Any]) -> None:
    """Write a string that may be empty as one pattern. drf-spectacular writes two schemas, one without its default."""
    kinds = schema.get("oneOf", [])
    if len(kinds) == 2 and kinds[1] == {"type": "string", "maxLength": 0} and "pattern" in kinds[0]:
        del schema["oneOf"]
        schema |= kinds[0] | {"pattern": f"{kinds[0]['pattern']}|^$"}


class E164Extension(OpenApiSerializerFieldExtension):
    target_class = "smsproxy.api.fields.E164Field"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        return {"type": "string", "pattern": E164_PATTERN, "examples": [E164_EXAMPLE]}


def only_the_api(endpoints: Sequence[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """Return the endpoints under /api/. /metrics is for Prometheus."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/")]


def complete(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add the components that all operations refer to."""
    components = result["components"]
    components["schemas"] |= openapi_problems.SCHEMAS
    components["examples"] = openapi_problems.examples()
    components["headers"] = {
        name: {"description": description, "schema": schema} for name, (description, schema) in HEADERS.items()
    }
    _tidy(result)
    result["paths"] = {_name_id(path, item): item for path, item in result["paths"].items()}
    shared: dict[str, Any] = openapi_problems.share_responses(result["paths"])
    components["responses"] = shared
    # Nothing in it is a date or a lazy text of Django any more.
    plain: dict[str, Any] = json.loads(json.dumps(result, default=str))
    return plain


def _name_id(path: str, item: dict[str, Any]) -> str:
    """Call the parameter of a path as the field whose value it takes: `id`. In Python that is a function's name."""
    for operation in item.values():
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path" and parameter["name"] == "public_id":
                parameter["name"] = "id"
    return path.replace("{public_id}", "{id}")


def _tidy(node: Any) -> None:
    """Remove what drf-spectacular writes and nobody needs: its own marks, and labels of choices that repeat them."""
    if isinstance(node, dict):
        node.pop("x-spec-enum-id", None)
        if isinstance(text := node.get("description"), str):
            labels = re.findall(r"^\* `(.*)` - (.*)$", text, re.MULTILINE)
            if labels and all(value == label for value, label in labels):
                node["description"] = re.sub(r"\n*^\* `.*` - .*$", "", text, flags=re.MULTILINE)
                if not node["description"]:
                    del node["description"]
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _tidy(value)
