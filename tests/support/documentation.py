"""Readers of the pages of the documentation: their prose, their blocks, their sections and their tables."""

import re

import pytest

from tests.support.demo_process import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def prose(page):
    """Return the page without its fenced blocks."""
    return FENCE.sub("", page.read_text())


def blocks(page, *languages):
    return [text for language, text in FENCE.findall(page.read_text()) if language in languages]


def section(page, heading):
    """Return the text from this heading to the next one of the same level."""
    _, level, text = re.split(rf"^(#+) {re.escape(heading)}$", page.read_text(), flags=re.MULTILINE)
    return re.split(rf"^#{{1,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text):
    """Return the code in the first column of each table row in this text."""
    rows = re.findall(r"^\| (`[^|]*?) \|", text, re.MULTILINE)
    return [name for row in rows for name in INLINE.findall(row)]


def doc(name):
    return ROOT / "docs" / name
