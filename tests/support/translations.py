"""The marked strings of the source, a reader of .po files, and what is compiled."""

import ast
import gettext
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from django.utils.translation.template import templatize

from tests.support.demo_process import ROOT

LOCALE = ROOT / "smsproxy" / "locale"
APPS = ("smsproxy", "numbers", "conversations")
_FUNCTIONS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy"}
_CALL = re.compile(r"\b(n?p?gettext|_)\(")


def marked() -> dict[str, str]:
    """Return each marked string (of a plural: the singular), and where it is."""
    found: dict[str, str] = {}
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*")):
            if path.suffix == ".py" and "migrations" not in path.parts:
                tree = ast.parse(path.read_text())
            elif path.suffix in (".html", ".svg", ".txt") and "templates" in path.parts:
                tree = ast.parse(_calls(path))
            else:
                continue
            for text in _strings(tree):
                found.setdefault(text, str(path.relative_to(ROOT)))
    return found


def _calls(path: Path) -> str:
    """Return the translated strings of a template as a Python program."""
    code = templatize(path.read_text(), origin=str(path))
    calls = []
    for match in _CALL.finditer(code):
        for end in range(match.end(), len(code) + 1):
            if code[end - 1 : end] == ")":
                try:
                    ast.parse(code[match.start() : end])
                except SyntaxError:
                    continue
                calls.append(code[match.start() : end])
                break
    return "\n".join(calls)


def _strings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and node.args:
            is_contextual = node.func.id.startswith("pgettext")
            text = node.args[1 if is_contextual else 0]
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield text.value


@cache
def read_po(path: Path) -> dict[str, list[str]]:
    """Return the translations of each string, without those that are empty, fuzzy or obsolete. A plural has several."""
    found: dict[str, list[str]] = {}
    for block in re.split(r"\n\s*\n", path.read_text()):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if not lines or re.search(r"^#,.*fuzzy", block, re.MULTILINE):
            continue
        values: dict[str, str] = {}
        key = ""
        for line in lines:
            word, _, rest = line.partition(" ")
            if not line.startswith('"'):
                key, line = word, rest
            values[key] = values.get(key, "") + ast.literal_eval(line)
        texts = [text for name, text in values.items() if name.startswith("msgstr")]
        if values.get("msgid") and all(texts):
            found[values["msgid"]] = texts
    return found


def compiled(path: Path) -> dict[str, list[str]]:
    """Return the same of a .mo file."""
    with path.open("rb") as file:
        catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    found: dict[str, list[str]] = {}
    for key, text in sorted(catalogue.items(), key=str):
        name = key[0] if isinstance(key, tuple) else key
        if name:
            found.setdefault(name.rpartition("\x04")[2], []).append(text)
    return found
