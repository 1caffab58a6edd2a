"""The texts of ours that people get: their kinds, placeholders and rules, for settings, services and conversations."""

import re
from enum import StrEnum
from typing import Final

from smsproxy.values import InvalidValue

MAX_TEMPLATE_LENGTH: Final = 1000

# Language, script and region of BCP 47, as in pt, pt-BR, zh-Hant and es-419.
_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:-([A-Za-z]{4}))?(?:-([A-Za-z]{2}|[0-9]{3}))?")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
# Line breaks and tabs are allowed. PostgreSQL stores no NUL, and phones show nothing for the others.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class TextKind(StrEnum):
    """A text of ours. Its setting has the text of all services that have none of their own."""

    CONFIRMATION = "confirmation"
    """To each participant of a new conversation."""
    ENDED = "ended"
    """To the author of a text to an ended conversation."""
    NO_ROUTE = "no_route"
    """To the author of a text that belongs to no conversation."""
    BLOCKED = "blocked"
    """To a blocked author."""
    OPTED_OUT = "opted_out"
    """To a participant whose counterpart has opted out."""
    REPLACED = "replaced"
    """To a participant whose proxy number was replaced."""
    TOO_LONG = "too_long"
    """To the author of a text that was too long."""
    UNDELIVERED = "undelivered"
    """To the author of a text that was not delivered."""
    LIMITED = "limited"
    """To the author of a text over a limit."""
    STOP_ANSWER = "stop_answer"
    START_ANSWER = "start_answer"
    HELP_ANSWER = "help_answer"

    @property
    def setting(self) -> str:
        """The name of the setting with its text."""
        return _SETTINGS[self]

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The placeholders that its text may have, without braces."""
        return _PLACEHOLDERS.get(self, ())


_SETTINGS: Final = {
    TextKind.CONFIRMATION: "CONFIRMATION_TEXT",
    TextKind.ENDED: "ENDED_NOTICE",
    TextKind.NO_ROUTE: "NO_ROUTE_NOTICE",
    TextKind.BLOCKED: "BLOCKED_NOTICE",
    TextKind.OPTED_OUT: "OPTED_OUT_NOTICE",
    TextKind.REPLACED: "REPLACED_NOTICE",
    TextKind.TOO_LONG: "TOO_LONG_NOTICE",
    TextKind.UNDELIVERED: "UNDELIVERED_NOTICE",
    TextKind.LIMITED: "LIMITED_NOTICE",
    TextKind.STOP_ANSWER: "STOP_ANSWER",
    TextKind.START_ANSWER: "START_ANSWER",
    TextKind.HELP_ANSWER: "HELP_ANSWER",
}
_PLACEHOLDERS: Final = {
    TextKind.CONFIRMATION: ("label",),
    TextKind.OPTED_OUT: ("label",),
    TextKind.REPLACED: ("label",),
    TextKind.TOO_LONG: ("segments", "most"),
    TextKind.STOP_ANSWER: ("operator", "contact"),
    TextKind.START_ANSWER: ("operator", "contact"),
    TextKind.HELP_ANSWER: ("operator", "contact"),
}
KIND_OF_SETTING: Final = {setting: kind for kind, setting in _SETTINGS.items()}
# The kinds that a conversation may have a text of its own for. The others are sent without regard to a conversation.
OWN_KINDS: Final = tuple(
    kind
    for kind in TextKind
    if kind not in (TextKind.NO_ROUTE, TextKind.STOP_ANSWER, TextKind.START_ANSWER, TextKind.HELP_ANSWER)
)


def check_template(kind: TextKind, text: str) -> str:
    """Return the template without space around it. Raises ValueError that says what was expected.

    An empty template is allowed: this text is never sent.
    """
    text = text.replace("\r\n", "\n").strip()  # Forms of a browser send both.
    if len(text) > MAX_TEMPLATE_LENGTH:
        raise InvalidValue(f"at most {MAX_TEMPLATE_LENGTH} characters", f"{len(text)} characters")
    if found := _CONTROL.search(text):
        raise InvalidValue("a text without control characters", f"U+{ord(found[0]):04X}")
    allowed = [f"{{{name}}}" for name in kind.placeholders]
    for placeholder in _PLACEHOLDER.findall(text):
        if placeholder not in allowed:
            raise InvalidValue(f"only {' and '.join(allowed)} in braces" if allowed else "no braces", placeholder)
    return text


def check_language(text: str) -> str:
    """Return the language tag in its usual spelling, such as pt-BR. Raises ValueError that says what was expected."""
    found = _LANGUAGE.fullmatch(text)
    if not found:
        raise InvalidValue("a language, with or without a script and a region, such as pt, pt-BR or zh-Hant", text)
    language, script, region = found[1].lower(), (found[2] or "").title(), (found[3] or "").upper()
    return "-".join(filter(None, [language, script, region]))
