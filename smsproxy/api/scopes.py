"""Scopes: what an API key may do. A key has one or several of them, and none implies another."""

from collections.abc import Iterable
from enum import StrEnum

from smsproxy import values


class Scope(StrEnum):
    READ = "read"
    """Every request that changes nothing."""
    WRITE = "write"
    """Every request that changes something."""
    NUMBERS = "numbers"
    """The pool: events of virtual numbers and of troubles. They concern every service."""


DEFAULT_SCOPES = "read write"


def parse_scopes(text: str) -> str:
    """Return the scopes in their order, separated by spaces, as they are stored. Raises InvalidValue."""
    words = text.replace(",", " ").split()
    if not words:
        raise values.InvalidValue(f"one or several of {', '.join(Scope)}", text)
    return join_scopes(values.one_of(Scope, word) for word in words)


def join_scopes(scopes: Iterable[str]) -> str:
    """Return these scopes as they are stored: in their order, separated by spaces."""
    found = set(scopes)
    return " ".join(scope for scope in Scope if scope in found)
