"""The problems that the API answers with. Each is a page at /api/v1/problems/, and a section of docs/problems.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

PATH = "/api/v1/problems/"


@dataclass(frozen=True, kw_only=True)
class ProblemType:
    """A kind of problem. meaning and action are sentences for the caller.

    members: the meaning of its further members, by name. example: of their values.
    """

    status: int
    title: str
    meaning: str
    action: str
    members: Mapping[str, str] = field(default_factory=dict)
    example: dict[str, Any] = field(default_factory=dict)


def _type(
    status: int,
    title: str,
    meaning: str,
    action: str,
    *,
    members: Mapping[str, str] | None = None,
    example: dict[str, Any] | None = None,
) -> ProblemType:
    return ProblemType(
        status=status, title=title, meaning=meaning, action=action, members=members or {}, example=example or {}
    )


_CORRECT = "Correct the request. Its repeat would fail again."
_SAME_KEY = "Repeat the request after the seconds in `Retry-After`, with the same Idempotency-Key if it had one."

# By code.
PROBLEMS: Mapping[str, ProblemType] = {
    # The request cannot be accepted as it is.
    "invalid": _type(
        400,
        "The request is not valid",
        "One or more fields, query parameters or headers are wrong. `errors` names each of them.",
        _CORRECT,
    ),
    "parse_error": _type(400, "The body is not JSON", "The body is not JSON in UTF-8, or repeats a key.", _CORRECT),
    "unreadable_body": _type(
        400, "The body is incomplete", "The body ended before it was complete.", "Repeat the request."
    ),
    "bad_request": _type(
        400,
        "The request cannot be read",
        "The Host header names no host of this service, or the request breaks a rule of HTTP.",
        "Call the API under the URL that you were given.",
    ),
    "cursor_invalid": _type(
        400,
        "The cursor is not valid",
        "The query has a cursor that is not one of this list.",
        "Use a cursor exactly as an answer of this list gave it, or begin without one.",
    ),
    "no_participant": _type(
        400,
        "There is no such participant",
        "The conversation has no participant at a position that the request names. `errors` names the field.",
        _CORRECT,
    ),
    "sent_to_author": _type(
        400, "The author is among the recipients", "`to` names the participant who is also in `from`.", _CORRECT
    ),
    "too_long": _type(
        400,
        "The text is too long",
        "The text takes more SMS than one text may.",
        "Shorten it. With an emoji, or another character that is not in the GSM alphabet, an SMS holds 70 characters.",
        members={"segments": "The SMS that the text takes for each recipient.", "max_segments": "The most allowed."},
        example={"segments": 9, "max_segments": 6},
    ),
    "idempotency_key_invalid": _type(
        400,
        "The Idempotency-Key is not valid",
        "The header is too long, or has a character other than visible ASCII.",
        "Use a UUID, for example.",
    ),
    "same_number_twice": _type(
        400,
        "The conversation cannot be created",
        "Two participants have the same phone, perhaps in its two spellings.",
        _CORRECT,
    ),
    "virtual_number": _type(
        400,
        "The conversation cannot be created",
        "A participant's number is one of our virtual numbers.",
        "Use the person's own number.",
    ),
    "number_not_valid": _type(
        400,
        "The conversation cannot be created",
        "A lookup says that a participant's number does not exist.",
        "Ask the person for their number.",
    ),
    "destination_not_allowed": _type(
        400,
        "The conversation cannot be created",
        "No text may go to a participant's number, because of its country or its type.",
        "Use a mobile number of the person in a country that the service texts to.",
    ),
    "proxy_number_unknown": _type(
        400,
        "The conversation cannot be created",
        "The requested virtual number is not in service in this pool.",
        "Request another number, or none.",
    ),
    "proxy_number_unable": _type(
        400,
        "The conversation cannot be created",
        "Networks of the person's country reject the requested virtual number as a sender.",
        "Request another number, or none.",
    ),
    # The key.
    "authentication_failed": _type(
        401,
        "The API key is missing or wrong",
        "The header `Authorization` is missing, is not `Bearer <API key>`, or its key is wrong or revoked.",
        "Check the header, and that the key is one of this service.",
    ),
    "key_expired": _type(
        401, "The API key has expired", "The key was valid until its expiry.", "Use the key that replaces it."
    ),
    "key_revoked": _type(
        401, "The API key is revoked", "The key was valid until it was revoked.", "Use the key that replaces it."
    ),
    "scope_missing": _type(
        403,
        "The API key lacks a scope",
        "The request needs a scope that the key does not have. `detail` names it.",
        "Use a key with this scope.",
    ),
    # The address.
    "not_found": _type(
        404,
        "Nothing is at this URL",
        "There is no such endpoint, or your service has no object of this id.",
        "Check the id, and the slash at the end of the URL.",
    ),
    "method_not_allowed": _type(
        405,
        "The method is not supported here",
        "The endpoint exists and does not support this method.",
        "Use one of the methods in the header `Allow`.",
    ),
    # The present state does not allow it.
    "conversation_ended": _type(
        409,
        "The conversation has ended",
        "The request needs an open conversation, and this one is closed or expired.",
        "Reopen the conversation, or create a new one.",
    ),
    "on_hold": _type(
        409,
        "The conversation is on hold",
        "Texts in this conversation are stored and not passed on until staff release it.",
        "Wait until `held_at` of the conversation is null.",
    ),
    "no_number_free": _type(
        409,
        "No virtual number is free",
        "A participant already has a conversation, open or cooling down, through every number that could serve them.",
        "Close conversations that have ended, or wait until `next_release_at`. More numbers help at once.",
        members={
            "participant": "Position of the person in the request, from 0.",
            "country": "Their country.",
            "numbers_eligible": "Numbers that can serve them.",
            "numbers_in_use": "Of those, how many they have already.",
            "numbers_needed": "How many would have to exist.",
            "next_release_at": "When the next of theirs has cooled down, or null.",
        },
        example={
            "participant": 0,
            "country": "GB",
            "numbers_eligible": 2,
            "numbers_in_use": 2,
            "numbers_needed": 3,
            "next_release_at": "2026-12-05T22:00:00Z",
        },
    ),
    "blocked": _type(
        409,
        "A participant is blocked",
        "A participant is blocked, or two of them towards each other. `errors` names the participant.",
        "Do not connect these people.",
        members={"participant": "The answer to a text also names the participant here, by position."},
    ),
    "opted_out": _type(
        409,
        "A participant has opted out",
        "A participant has texted STOP. `errors` names the participant.",
        "Contact this person in another way. They can text START to one of the virtual numbers.",
        members={"participant": "The answer to a text also names the participant here, by position."},
    ),
    "receives_only": _type(
        409,
        "The participant only receives messages",
        "The participant in `from` is `one_way`, so nothing is sent in their name.",
        "Send the text in the name of the service, without `from`.",
        members={"participant": "The position of that participant."},
        example={"participant": 1},
    ),
    "already_blocked": _type(
        409,
        "The block exists",
        "A block of the same people is active in your service.",
        "End that one first, to change its reason or end.",
        members={"block_id": "The id of the active block."},
        example={"block_id": "8e6f0c3d-55a8-4e0e-9d2b-0a6f5f1f7c11"},
    ),
    "block_of_staff": _type(
        409, "Staff made this block", "Only staff can end this block.", "Ask staff to end it, and name its id."
    ),
    "proxy_number_taken": _type(
        409,
        "The virtual number is taken",
        "The requested number serves another conversation of this person, or is at its cap.",
        "Request another number, or none.",
    ),
    "side_needs_one_number": _type(
        400,
        "The conversation cannot be created",
        "The members of a side share one virtual number, and two of them name different ones.",
        _CORRECT,
    ),
    "side_number_taken": _type(
        409,
        "The virtual number of the side is taken",
        "The members of a side share one virtual number. It is not free for this person: it serves another "
        "conversation of theirs, is not the number that the request names, has no place left, or is going out of "
        "service.",
        "Add the person without the side, or with another one.",
    ),
    "already_participant": _type(
        409,
        "The person is a participant already",
        "A participant of the conversation has this phone.",
        "Change that participant, or send another number.",
        members={"position": "The position of that participant."},
        example={"position": 1},
    ),
    "too_many_participants": _type(
        409,
        "The conversation has too many participants",
        "A conversation has at most 10 participants.",
        "Remove a participant before you add another.",
    ),
    "too_few_participants": _type(
        409,
        "The conversation would have too few participants",
        "A conversation has at least 2 participants.",
        "Close the conversation instead.",
    ),
    "numbers_released": _type(
        409,
        "The conversation cannot be reopened",
        "One of its numbers was released and may serve other people.",
        "Create a new conversation.",
    ),
    "end_has_passed": _type(
        409,
        "The end of the conversation has passed",
        "The conversation has a fixed end, which has passed, so it cannot be reopened as it was.",
        "Reopen it with a new `ttl` or `expires_at`.",
    ),
    "no_end": _type(
        409,
        "The conversation has no end",
        "It never ends by a `ttl` or at a fixed time, so there is no end to move.",
        "To give it an end, change its `ttl` or `expires_at`.",
    ),
    "end_too_late": _type(
        409,
        "The end would be too late",
        "A conversation can be extended until 366 days from now.",
        "Extend it by less, or later.",
    ),
    "already_talking": _type(
        409,
        "These people already talk",
        "An open conversation has exactly these participants, and `on_existing` is `reject`.",
        "Use that conversation, or send `on_existing`: `new`.",
        members={"conversation_id": "The id of the newest such conversation."},
        example={"conversation_id": "0b9b1f6e-8a3e-4a55-8a43-6f0d3f4f0d7a"},
    ),
    "reference_taken": _type(
        409,
        "The reference is taken",
        "An open conversation of your service has this reference, and `unique_reference` is true.",
        "Use that conversation, close it, or choose another reference.",
        members={"conversation_id": "The id of that conversation."},
        example={"conversation_id": "0b9b1f6e-8a3e-4a55-8a43-6f0d3f4f0d7a"},
    ),
    "cursor_expired": _type(
        410,
        "The cursor has expired",
        "Events are kept for 30 days, and some that follow this cursor may have been deleted.",
        "Read the present state of your open conversations, then go on without `after`, or from `after=latest`.",
    ),
    # The body.
    "body_too_large": _type(
        413, "The body is too large", "The body is larger than the API accepts, usually 256 KiB.", _CORRECT
    ),
    "unsupported_media_type": _type(
        415,
        "The content type is not JSON",
        "The header `Content-Type` is not `application/json`.",
        "Send JSON, with this header.",
    ),
    "idempotency_in_progress": _type(
        409,
        "The first request with this Idempotency-Key is still running",
        "A request with this Idempotency-Key has not been answered yet.",
        "Repeat the request after the seconds in `Retry-After`, with the same key.",
    ),
    "idempotency_key_reused": _type(
        422,
        "The Idempotency-Key was used before",
        "This key was sent before with a different request.",
        "Use a new key for each new request.",
    ),
    # Limits, and faults of ours.
    "over_limit": _type(
        429,
        "A limit is used up",
        "A limit of the service, a person or a conversation is used up for now. `detail` names it.",
        "Repeat the request after the seconds in `Retry-After`.",
    ),
    "rate_limited": _type(
        429,
        "The rate limit of the API key is used up",
        "The key has made too many requests within a minute. `RateLimit-Limit` is the limit.",
        "Repeat the request after the seconds in `Retry-After`.",
    ),
    "server_error": _type(
        500,
        "An internal error",
        "The request met a fault of the service, which was logged.",
        "Repeat the request once, with the same Idempotency-Key if it had one. Report the `request_id`.",
    ),
    "database_unavailable": _type(503, "The database is not available", "The database does not answer.", _SAME_KEY),
    "clock_wrong": _type(
        503, "The clock is wrong", "The clock of the host that answered is wrong, so it accepts nothing.", _SAME_KEY
    ),
    "too_many_at_once": _type(
        503, "Too many concurrent requests", "Concurrent requests took every free number.", _SAME_KEY
    ),
}


def type_url(code: str) -> str:
    """Return the `type` of a problem: the URL of its page."""
    return f"{settings.PUBLIC_URL}{PATH}{code}/" if code in PROBLEMS else "about:blank"
