"""The rules of the layout, read from the syntax tree: who may import whom, and who may know which words."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin

ROOT = Path(__file__).resolve().parent.parent.parent
VONAGE = ROOT / "smsproxy" / "carriers" / "vonage"
APPS = ["smsproxy", "numbers", "conversations"]

# From the roof down to the ground. A module imports its own room and the floors below it: never up, never sideways.
FLOORS = [
    ["smsproxy.cockpit", "smsproxy.management", "smsproxy.urls", "smsproxy.wsgi"],  # the roof: knows all
    ["conversations.management", "conversations.urls"],
    ["conversations.demo"],
    [
        "conversations.admin",
        "conversations.api",
        "conversations.clock_guard",
        "conversations.monitoring",
        "conversations.phones",
        "conversations.webhooks",
    ],  # the doors: parse, call, format
    ["conversations.worker"],  # the process: threads and periodic jobs
    ["conversations.insight", "conversations.planning", "conversations.retention"],
    ["conversations.lifecycle", "conversations.intake"],  # the use cases
    ["conversations.trust"],  # rules that the use cases ask
    ["conversations.delivery"],  # the outbox, sending, receipts
    ["conversations.models"],
    ["numbers.management"],
    ["numbers.admin", "numbers.api"],
    ["numbers.spreadsheet"],
    ["numbers.provisioning", "numbers.health", "numbers.lookup"],
    ["numbers.assignment"],
    ["numbers.usage"],  # the one window onto the rows of conversations
    ["numbers.models"],
    ["smsproxy.simulator"],
    ["smsproxy.first_setup"],  # before there are settings
    ["smsproxy.events"],
    ["smsproxy.api"],
    ["smsproxy.services"],
    ["smsproxy.sign_in"],
    ["smsproxy.staff"],
    ["smsproxy.carriers"],
    ["smsproxy.metrics"],
    # The ground: settings, database, phone, crypto, states, ...
    ["smsproxy", "smsproxy.formats", "smsproxy.model_words", "numbers.apps", "conversations.apps"],
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# Conversation, its queries and participant point to each other, as their tables do.
ALLOWED_CIRCLE = {
    "conversations.models.conversation",
    "conversations.models.conversation_queries",
    "conversations.models.participant",
}


def source_files(*folders: str) -> list[Path]:
    return [
        path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")) if "migrations" not in path.parts
    ]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return every node of the file's code."""
    return tuple(ast.walk(ast.parse(path.read_text())))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Return the full name of everything that the file imports, anywhere in it."""
    package = path.relative_to(ROOT).parent.parts
    found: list[str] = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            found += [f"{module}.{alias.name}" for alias in node.names]
    return tuple(found)


def room_of(name: str) -> str | None:
    """Return the narrowest room of the table that holds this name, or None for a name that is not ours."""
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in FLOOR_OF), None)


def wrong_imports(module: str, names: tuple[str, ...]) -> Iterator[str]:
    room = room_of(module)
    for name in names:
        target = room_of(name)
        if room and target and target != room and FLOOR_OF[target] <= FLOOR_OF[room]:
            yield f"{module} imports {name}: {target} is not below {room}"


def test_imports_point_down_only():
    wrong = chain.from_iterable(wrong_imports(module_name(path), imports(path)) for path in source_files(*APPS))

    assert list(wrong) == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("conversations.delivery.relay", "conversations.worker.process.run"),
        ("conversations.intake.receive", "conversations.lifecycle.create.create_conversation"),
        ("conversations.planning.plan", "conversations.management.question_values"),
        ("numbers.models.virtual_number", "numbers.usage.free_for"),
        ("numbers.provisioning.order", "conversations.models.Participant"),
        ("smsproxy.carriers.base", "smsproxy.simulator.carrier"),
        ("smsproxy.phone", "smsproxy.api.problems"),
    ],
)
def test_an_import_that_points_up_or_sideways_is_found(module, imported):
    assert list(wrong_imports(module, (imported,)))


def test_every_package_of_ours_has_a_floor():
    packages = {
        f"{folder}.{path.name}"
        for folder in APPS
        for path in (ROOT / folder).iterdir()
        if path.is_dir() and any(path.rglob("*.py")) and path.name not in ("migrations", "database", "logs", "tracing")
    }

    assert packages - set(FLOOR_OF) == set()


def import_graph() -> dict[str, set[str]]:
    files = {module_name(path): path for path in source_files(*APPS)}
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        targets = {name if name in files else name.rpartition(".")[0] for name in imports(path)}
        # A package's __init__ that imports its modules makes no circle by that.
        graph[module] = {target for target in targets & set(files) if not module.startswith(f"{target}.")} - {module}
    return graph


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the groups of modules of which each reaches every other by imports."""

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for target in graph[waiting.pop()] - seen:
                seen.add(target)
                waiting.append(target)
        return seen

    reach = {module: reachable(module) for module in graph}
    groups = {frozenset({other for other in reach[module] if module in reach[other]}) for module in graph}
    return [set(group) for group in groups if len(group) > 1]


def test_no_imports_go_in_a_circle():
    assert [circle for circle in circles(import_graph()) if circle != ALLOWED_CIRCLE] == []


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]


def reaches(path: Path, package: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for name in imports(path))


def test_only_the_carriers_know_the_sdk():
    users = [
        path for path in source_files(*APPS) if any(name.split(".")[0].startswith("vonage") for name in imports(path))
    ]

    assert users
    assert all(path.parent == VONAGE for path in users)


def test_only_the_simulator_speaks_as_vonage_does():
    """All others ask the carrier interface, so that a second carrier is one folder and a row in CARRIERS."""
    users = {path.parent for path in source_files(*APPS) if reaches(path, "smsproxy.carriers.vonage")}

    assert users == {VONAGE, ROOT / "smsproxy" / "simulator"}


def strings(path):
    """Every string of the code, without the docstrings."""
    docstrings = {node.value for node in nodes(path) if isinstance(node, ast.Expr)}
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield node.value


def test_only_the_carriers_know_vonage_s_field_names():
    fields = {
        *("msisdn", "moHttpUrl", "messageId", "message-id", "err-code", "error-code", "error-text", "network-code"),
        *("client-ref", "api-key", "message-timestamp", "message-price", "error-code-label"),
        *("concat", "concat-ref", "concat-total", "concat-part", "sig", "timestamp", "nonce"),
    }
    known = {path: fields.intersection(strings(path)) for path in source_files(*APPS)}

    assert {str(path): words for path, words in known.items() if words and path.parent != VONAGE} == {}
    assert set().union(*known.values()) == fields


def test_only_the_carriers_know_vonage_s_settings_and_name():
    allowed = {
        # What the environment says, and whether it makes sense.
        "smsproxy/settings.py",
        "smsproxy/checks.py",
        # What a new installation is asked for.
        "smsproxy/first_setup/questions.py",
        # The addresses that the numbers at Vonage already point at.
        "smsproxy/webhook_urls.py",
    }
    row = ["vonage", "smsproxy.carriers.vonage.carrier.VonageCarrier"]
    found = {}
    for path in source_files(*APPS):
        if path.parent != VONAGE and str(path.relative_to(ROOT)) not in allowed:
            names = [node.attr for node in nodes(path) if isinstance(node, ast.Attribute)]
            found[str(path.relative_to(ROOT))] = [word for word in [*strings(path), *names] if "vonage" in word.lower()]

    assert {path: words for path, words in found.items() if words} == {"smsproxy/carriers/__init__.py": row}


def test_staff_can_see_every_model():
    ours = {model for model in apps.get_models() if model.__module__.split(".")[0] in APPS}

    assert ours
    assert ours <= set(admin.site._registry)


def test_no_module_is_named_for_nothing():
    assert [
        path for path in source_files(*APPS) if path.stem in ("utils", "services", "helpers", "common", "misc")
    ] == []


def test_nothing_prints_and_nothing_is_left_for_later():
    for path in source_files(*APPS):
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

    @pytest.mark.slow
    def test_both_are_imported_from_the_project_folder(self):
        code = (
            "import smsproxy, numbers, decimal, fractions, numbers.apps;"
            "assert numbers.Number and issubclass(decimal.Decimal, numbers.Number);"
            "print(numbers.apps.NumbersConfig.name)"
        )

        result = self.run(sys.executable, "-c", code)

        assert result.stdout == "numbers\n", result.stderr

    @pytest.mark.slow
    @pytest.mark.parametrize("first", ["import decimal", "import numbers", "import fractions"])
    def test_whatever_was_imported_first(self, first):
        result = self.run(sys.executable, "-c", f"{first}; import django; django.setup(); import numbers.models")

        assert result.returncode == 0, result.stderr

    @pytest.mark.slow
    def test_manage_py_finds_our_commands(self):
        result = self.run(sys.executable, "manage.py", "help")

        assert "provision_numbers" in result.stdout, result.stderr
