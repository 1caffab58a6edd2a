"""Where things may be known: the rules of the layout, read from the syntax tree."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin

ROOT = Path(__file__).resolve().parent.parent.parent
APPS = ["smsproxy", "numbers", "conversations"]
VONAGE = ROOT / "smsproxy" / "carriers" / "vonage"
# Only these know everything.
KNOW_ALL = {
    "smsproxy/urls.py",
    "smsproxy/cockpit/site.py",
    "smsproxy/cockpit/plan_page.py",
    "smsproxy/cockpit/plan_plot.py",
    "smsproxy/__init__.py",
}


def modules(*folders):
    return [
        path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")) if "migrations" not in path.parts
    ]


def imports(path):
    """Every module that the file imports, anywhere in it."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            yield ".".join(filter(None, [base, node.module]))


def reaches(path, *forbidden):
    return [name for name in imports(path) if any(name == each or name.startswith(f"{each}.") for each in forbidden)]


def test_imports_point_one_way():
    """conversations → numbers → smsproxy."""
    found = {}
    for path in modules("smsproxy"):
        if str(path.relative_to(ROOT)) not in KNOW_ALL:
            found[path] = reaches(path, "numbers", "conversations")
    for path in modules("numbers"):
        found[path] = reaches(path, "conversations")

    assert {str(path): names for path, names in found.items() if names} == {}


def test_only_the_carriers_know_the_sdk():
    users = [path for path in modules(*APPS) if any(name.split(".")[0].startswith("vonage") for name in imports(path))]

    assert users
    assert all(path.parent == VONAGE for path in users)


def test_only_the_simulator_speaks_as_vonage_does():
    """All others ask the carrier interface, so that a second carrier is one folder and a row in CARRIERS."""
    users = {path.parent for path in modules(*APPS) if reaches(path, "smsproxy.carriers.vonage")}

    assert users == {VONAGE, ROOT / "smsproxy" / "simulator"}


def strings(tree):
    """Every string of the code, without the docstrings."""
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield node.value


def test_only_the_carriers_know_vonage_s_field_names():
    fields = {
        *("msisdn", "moHttpUrl", "messageId", "message-id", "err-code", "error-code", "error-text", "network-code"),
        *("client-ref", "api-key", "message-timestamp", "message-price", "error-code-label"),
        *("concat", "concat-ref", "concat-total", "concat-part", "sig", "timestamp", "nonce"),
    }
    known = {path: fields.intersection(strings(ast.parse(path.read_text()))) for path in modules(*APPS)}

    assert {str(path): words for path, words in known.items() if words and path.parent != VONAGE} == {}
    assert set().union(*known.values()) == fields


def test_only_the_carriers_know_vonage_s_settings_and_name():
    allowed = {
        # What the environment says, and whether it makes sense.
        "smsproxy/settings.py",
        "smsproxy/checks.py",
        # The addresses that the numbers at Vonage already point at.
        "smsproxy/webhook_urls.py",
    }
    row = ["vonage", "smsproxy.carriers.vonage.carrier.VonageCarrier"]
    found = {}
    for path in modules(*APPS):
        if path.parent != VONAGE and str(path.relative_to(ROOT)) not in allowed:
            tree = ast.parse(path.read_text())
            names = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
            found[str(path.relative_to(ROOT))] = [word for word in [*strings(tree), *names] if "vonage" in word.lower()]

    assert {path: words for path, words in found.items() if words} == {"smsproxy/carriers/__init__.py": row}


def test_staff_can_see_every_model():
    ours = {model for model in apps.get_models() if model.__module__.split(".")[0] in APPS}

    assert ours
    assert ours <= set(admin.site._registry)


def test_no_module_is_named_for_nothing():
    assert [path for path in modules(*APPS) if path.stem in ("utils", "services", "helpers", "common", "misc")] == []


def test_nothing_prints_and_nothing_is_left_for_later():
    for path in modules(*APPS):
        text = path.read_text()
        assert "TODO" not in text, path
        assert "FIXME" not in text, path


class TestTheNameNumbers:
    """Our app `numbers` and the standard library's module of the same name live side by side."""

    def run(self, *command):
        return subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "DJANGO_SETTINGS_MODULE": "tests.settings"},
        )

    def test_there_is_no_init_file(self):
        assert not (ROOT / "numbers" / "__init__.py").exists()

    def test_both_are_imported_from_the_project_folder(self):
        code = (
            "import smsproxy, numbers, decimal, fractions, numbers.apps;"
            "assert numbers.Number and issubclass(decimal.Decimal, numbers.Number);"
            "print(numbers.apps.NumbersConfig.name)"
        )

        result = self.run(sys.executable, "-c", code)

        assert result.stdout == "numbers\n", result.stderr

    @pytest.mark.parametrize("first", ["import decimal", "import numbers", "import fractions"])
    def test_whatever_was_imported_first(self, first):
        result = self.run(sys.executable, "-c", f"{first}; import django; django.setup(); import numbers.models")

        assert result.returncode == 0, result.stderr

    def test_manage_py_finds_our_commands(self):
        result = self.run(sys.executable, "manage.py", "help")

        assert "provision_numbers" in result.stdout, result.stderr
