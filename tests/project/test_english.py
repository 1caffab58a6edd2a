"""Plain English: turns of phrase that must not appear in what people read. See docs/contributing.md."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# Archaic, or ambiguous to a reader whose first language is not English. "else" may follow "nobody", not a clause.
NOT_USED = re.compile(
    r"\b(anew|meanwhile|whoever|whomever|so many|of late|but for|by now|there is none|"
    r"(?<!body )(?<!thing )(?<!where )(?<!one )(?<!who )(?<!what )else)\b",
    re.IGNORECASE,
)
PROSE = {".md", ".html", ".svg", ".js", ".css", ".toml", ".txt", ".example", ".yml", ".yaml"}
# Histories and third parties' words.
EXCEPT = ("tests/openapi/", "tests/project/test_english.py", "constraints.txt", "LICENSE")


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [ROOT / name for name in listed if "/migrations/" not in name and not name.startswith(EXCEPT)]


def sentences(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Return what people read, with its line: comments, strings and names of Python, each line of other files."""
    if path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.lineno, node.value
            elif name := _name(node):
                yield getattr(node, "lineno", 0), name.replace("_", " ")
    elif path.suffix in PROSE:
        for number, line in enumerate(text.splitlines(), start=1):
            # "else" is a keyword in templates and scripts.
            yield number, line if path.suffix == ".md" else re.sub(r"\{%.*?%\}|\belse\b(?=\W*(\{|if\b|$))", "", line)


def _name(node: ast.AST) -> str:
    """Return the name of a variable, an argument, a function or a class, or ""."""
    for field in ("id", "arg", "name"):
        if isinstance(name := getattr(node, field, None), str):
            return name
    return ""


def found(path: Path, text: str) -> list[str]:
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    if not NOT_USED.search(text.replace("_", " ")):
        return []  # Most files. Taking code apart is slow.
    return [
        f"{name}:{line}: {match[0]!r}"
        for line, sentence in sentences(path, text)
        # SQL keywords are in capitals.
        for match in NOT_USED.finditer(sentence)
        if match[0] != "ELSE"
    ]


def test_what_people_read_is_plain_english():
    wrong = [each for path in tracked_files() if path.exists() for each in found(path, _text(path))]

    assert wrong == []


def test_a_turn_of_phrase_that_is_not_used_is_found():
    source = '"""Ask anew."""\n\nask_anew = 1 if True else 2  # wait, else nobody else answers\n'

    assert sorted(found(Path("module.py"), source)) == [
        "module.py:1: 'anew'",
        "module.py:3: 'anew'",
        "module.py:3: 'else'",
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""
