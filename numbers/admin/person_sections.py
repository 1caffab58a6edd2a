"""The sections of a person's page. The rooms above add theirs: numbers know nothing of conversations."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.http import HttpRequest

from numbers.models import RealNumber


class Section(NamedTuple):
    """A part of the page. title: its heading. template: shows `section.shown`. acts: the label and the URL of each."""

    slug: str
    title: Any
    template: str
    shown: Any
    acts: list[tuple[Any, str]] = []


_SECTIONS: list[Callable[[HttpRequest, RealNumber], Section | None]] = []


def add_section(section: Callable[[HttpRequest, RealNumber], Section | None]) -> None:
    """Show a section, below those added before. It returns None for staff who may not see it."""
    _SECTIONS.append(section)


def sections_of(request: HttpRequest, person: RealNumber) -> list[Section]:
    """Return the sections of this person's page that the user may see."""
    return [found for section in _SECTIONS if (found := section(request, person)) is not None]
