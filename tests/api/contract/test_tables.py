"""The tables of problems and of field codes have exactly what the code can answer."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from smsproxy.api.field_codes import FIELD_CODES
from smsproxy.api.problem_types import PROBLEMS
from smsproxy.api.problems import unlisted
from tests.support.demo_process import ROOT

ROOMS = [
    "smsproxy/api",
    "smsproxy/events",
    "smsproxy/services",
    "conversations/api",
    "conversations/lifecycle",
    "numbers/api",
]
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")) if "migrations" not in path.parts]
# Raised by Django REST framework: problems, and errors of its fields and validators.
OF_DRF = {"authentication_failed", "method_not_allowed", "not_found", "parse_error", "unsupported_media_type"}
OF_FIELDS = {
    *("required", "null", "blank", "max_length", "min_length", "max_value", "min_value", "invalid_choice"),
    *("null_characters_not_allowed", "surrogate_characters_not_allowed"),
}


def calls(path: Path, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and _name(node.func) in names:
            yield node


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def text(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def keyword(call: ast.Call, name: str) -> str:
    return next((text(each.value) for each in call.keywords if each.arg == name), "")


def raised() -> list[tuple[str, int | None, str, str]]:
    """Return each problem that the code raises by its literal code: code, status, title and place."""
    return [
        # The second argument of `body` is the detail.
        (code, _status(call), text(call.args[1]) if _name(call.func) == "Problem" else "", f"{path.name}:{call.lineno}")
        for path in FILES
        for call in calls(path, "Problem", "body")
        if (code := keyword(call, "code"))
    ]


def _status(call: ast.Call) -> int | None:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, int) else None


def strings() -> set[str]:
    """Return each string of the code outside the tables."""
    return {
        node.value
        for path in [*FILES, ROOT / "conversations/trust/labels.py"]
        if path.name not in ("problem_types.py", "field_codes.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_each_problem_of_the_code_is_in_the_table_with_its_status_and_title():
    wrong = [
        (code, place)
        for code, status, title, place in raised()
        if code not in PROBLEMS
        or status not in (None, PROBLEMS[code].status)
        or title not in ("", PROBLEMS[code].title)
    ]

    assert raised()
    assert wrong == []


def test_a_detail_is_written_for_the_caller_not_for_the_operator():
    wrong = [
        (path.name, call.lineno, text(node))
        for path in FILES
        for call in calls(path, "Problem", "body", "header_problem", "AuthenticationFailed")
        for node in ast.walk(call)
        if re.search(r"manage\.py|\b[A-Z]{3,}_[A-Z_]{3,}\b|[Tt]he operator", text(node))
    ]

    assert wrong == []


def test_each_code_of_a_field_is_in_the_table():
    found = {
        code
        for path in [*FILES, ROOT / "conversations/trust/labels.py"]
        for call in calls(path, "ValidationError", "ErrorDetail", "header_problem", "LabelNotAllowed")
        for code in [
            keyword(call, "code")
            or (text(call.args[1]) if _name(call.func) == "header_problem" else "")
            or (text(call.args[0]) if _name(call.func) == "LabelNotAllowed" else "")
        ]
        # A problem's own code, where the field is why.
        if code and code not in PROBLEMS
    }

    assert {"unknown_field", "not_e164", "required", "label_with_link"} <= found
    assert found - set(FIELD_CODES) == set()


def test_the_tables_have_nothing_that_the_code_does_not_answer():
    assert set(PROBLEMS) - strings() - OF_DRF == set()
    assert set(FIELD_CODES) - strings() - OF_FIELDS == set()


@pytest.mark.parametrize(
    ("code", "errors", "missing"),
    [
        ("no_such_problem", [], ["no_such_problem"]),
        ("invalid", ["no_such_code", "blank"], ["no_such_code"]),
        ("invalid", ["invalid"], ["invalid"]),
        ("blocked", ["blocked"], []),
    ],
)
def test_an_answer_with_a_code_of_no_table_is_found(code, errors, missing):
    assert unlisted(code, [{"code": each} for each in errors]) == missing
