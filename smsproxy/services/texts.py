"""Choose a text of ours: the conversation's own, its service's in the right language, or that of the settings."""

from collections.abc import Iterator, Mapping

from django.conf import settings

from smsproxy.services.known import known_service
from smsproxy.text_kinds import OWN_KINDS, TextKind, check_language, check_template

__all__ = ["OWN_KINDS", "TextKind", "check_language", "check_template", "text_of"]


def text_of(kind: TextKind, *, service_id: int | None, language: str = "", own: Mapping[str, str] | None = None) -> str:
    """Return the template of this text, or "" if it is never sent. Its placeholders are the caller's to fill.

    language: of the conversation; "" for the service's language. own: the conversation's own texts by kind.
    A service's text is at most MAX_AGE_SECONDS old (known.py), and usually costs no query.
    """
    if own is not None and kind in own:
        return own[kind]
    service = known_service(service_id)
    for each in _from_special_to_general(language or service.language):
        if (text := service.texts.get((kind, each))) is not None:
            return text
    default: str = getattr(settings, kind.setting)
    return default


def _from_special_to_general(language: str) -> Iterator[str]:
    """Yield zh-hant-tw, zh-hant, zh and "", for any language."""
    parts = language.lower().split("-") if language else []
    for length in range(len(parts), -1, -1):
        yield "-".join(parts[:length])
