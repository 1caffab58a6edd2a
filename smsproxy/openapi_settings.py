"""Settings of drf-spectacular, which makes the OpenAPI schema. What the schema says is in smsproxy/api/."""

from typing import Any

from smsproxy.version import VERSION

_DESCRIPTION = """\
Two people text each other through virtual numbers, and neither sees the other's real number.

**Keys.** Send `Authorization: Bearer <API key>`. A key belongs to a service, and sees only what belongs to it. Its
scopes are `read`, `write` and `numbers`. Each operation names the scope that it needs.

**Requests.** Bodies are JSON in UTF-8. URLs end with a slash. Nothing unknown is ignored: an unknown field or query
parameter, or a value of another type, is a 400. Phone numbers are E.164, such as `+447700900001`. Times are ISO 8601
with an offset, durations are seconds.

**Answers.** Times are UTC, and end with `Z`. `X-Request-ID` is the id by which the operator finds the request in the
logs. `RateLimit-*` show what is left of the key's rate limit. Ignore fields that you do not know: later versions add
some.

**Problems.** Every error is a problem document (RFC 9457) with a `type` of its own. Besides those listed at each
operation, any URL may answer 400 `bad_request`, 404 `not_found`, 405 `method_not_allowed`, 500 `server_error` and 503.
"""

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "smsproxy",
    "DESCRIPTION": _DESCRIPTION,
    "VERSION": VERSION,
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "DISABLE_DOCSTRING_DESCRIPTIONS": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": True,
    "TAGS": [
        {"name": "conversations", "description": "Who may text each other, through which numbers, and until when."},
        {"name": "participants", "description": "The people of one conversation."},
        {"name": "messages", "description": "Texts, and what became of each for each recipient."},
        {"name": "events", "description": "What happened, in order, without gaps."},
        {"name": "blocks", "description": "People who may not text each other, or anybody."},
        {"name": "routes", "description": "Where a text would go, and why."},
    ],
    "PREPROCESSING_HOOKS": ["smsproxy.api.openapi.only_the_api"],
    "POSTPROCESSING_HOOKS": ["smsproxy.api.openapi.complete"],
}
