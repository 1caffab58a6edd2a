"""The documentation is correct: its commands, options, files, links, settings and fields exist."""

import ast
import re
import shlex
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandError
from django.urls import URLPattern, get_resolver
from prometheus_client.core import Metric

from benchmarks.goals import GOALS
from conversations.api.conversations import ListFilters
from conversations.api.serializers import (
    ClosingSerializer,
    ConversationSerializer,
    NewConversationSerializer,
    ParticipantSerializer,
    PersonSerializer,
)
from conversations.insight.explain_route import RouteExplanation
from conversations.insight.metrics import PoolCollector, SendingCollector
from conversations.insight.status import Trouble
from conversations.models import ConversationState, InboundOutcome, OutboundState
from numbers.assignment.choose import Preference
from numbers.management.exit_codes import ExitCode
from numbers.models import NumberState, OrderState, VirtualNumber
from tests.support.demo_process import PATIENCE, ROOT, Demo

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
OURS = ("smsproxy", "numbers", "conversations")
PLACES = ("smsproxy/", "numbers/", "conversations/", "tests/", "benchmarks/", "docs/")

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


# The pages ------------------------------------------------------------------------------------------------------------


def test_the_readme_has_at_most_150_lines():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
def test_every_page_builds_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "index.html").exists()


def test_every_page_is_linked_from_the_index_and_from_the_readme():
    names = {page.name for page in PAGES} - {"README.md", "index.md"}

    assert names <= set(LINK.findall(doc("index.md").read_text()))
    assert {f"docs/{name}" for name in names} <= set(LINK.findall((ROOT / "README.md").read_text()))


# Files and links ------------------------------------------------------------------------------------------------------


def anchors(page):
    """Return the anchors of the page's headings, as GitHub and Sphinx name them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_every_link_leads_somewhere(page):
    targets = [target for target in LINK.findall(prose(page)) if not target.startswith(("http://", "https://"))]
    broken = []
    for target in targets:
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)

    assert targets
    assert broken == []


@each_page
def test_every_named_file_exists(page):
    # The name in a link may be short for a file in the folder of the link.
    named = [text.replace("\\_", "_") for text in INLINE.findall(prose(page)) if text.startswith(PLACES)]
    missing = [name for name in named if " " not in name and not (ROOT / name).exists()]

    assert [name for name in missing if name != "benchmarks/results/"] == []


def test_every_room_of_the_import_rule_exists():
    [rule] = FENCE.findall(section(doc("architecture.md"), "The import rule"))
    rooms = re.findall(r"(?:smsproxy|numbers|conversations)/[\w./]+", rule[1])

    assert len(rooms) > 20
    assert [room for room in rooms if not (ROOT / room).exists()] == []


# Commands -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quoted:
    """A command line that a page quotes. is_whole: it can be run unchanged."""

    page: str
    words: tuple[str, ...]
    is_whole: bool

    def __str__(self):
        return f"{self.page}: {' '.join(self.words)}"


def quoted_commands():
    """Return the commands after manage.py in shell blocks and in inline code."""
    for page in PAGES:
        for block in blocks(page, "bash", "ini"):
            joined = block.replace("\\\n", " ")
            for line in re.findall(r"manage\.py ([^\n|)]+)", joined):
                words = shlex.split(line.split(" > ")[0].replace("$TO", "+447700900100"), comments=True)
                yield Quoted(page.name, tuple(words), is_whole=True)
        for text in INLINE.findall(prose(page)):
            words = text.partition("manage.py ")[2].split() if "manage.py " in text else text.split()
            is_known = bool(words) and words[0] in get_commands() and ("_" in words[0] or len(words) > 1)
            if "manage.py " in text or is_known:
                yield Quoted(page.name, tuple(words), is_whole=False)


COMMANDS = sorted(set(quoted_commands()), key=str)


def parser_of(name):
    app = get_commands()[name]
    command = load_command_class(app, name) if isinstance(app, str) else app
    parser = command.create_parser("manage.py", name)
    parser.called_from_command_line = False  # Errors are raised, not printed.
    return parser


@pytest.mark.parametrize("quoted", COMMANDS, ids=str)
def test_every_quoted_command_and_option_exists(quoted, tmp_path):
    name, *arguments = quoted.words

    assert name in get_commands()
    parser = parser_of(name)
    known = {option for action in parser._actions for option in action.option_strings}
    assert {word for word in arguments if word.startswith("--")} <= known
    if quoted.is_whole and "--help" not in arguments:
        try:
            parser.parse_args(arguments)
        except CommandError as error:
            pytest.fail(str(error))


@each_page
def test_every_option_named_without_its_command_exists(page):
    ours = [name for name, app in get_commands().items() if str(app).startswith(OURS)]
    known = {option for name in ours for action in parser_of(name)._actions for option in action.option_strings}

    named = {text.split()[0] for text in INLINE.findall(prose(page)) if text.startswith("--")}

    assert named - {"--bind"} <= known  # An option of gunicorn.


def test_every_command_of_ours_is_in_the_documentation():
    ours = {name for name, app in get_commands().items() if str(app).startswith(OURS)}

    assert len(ours) > 10
    assert ours <= {quoted.words[0] for quoted in COMMANDS}


@each_page
def test_every_quoted_make_target_exists(page):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)) | {".venv/runtime", ".venv/development"}
    code = [*blocks(page, "bash"), *INLINE.findall(prose(page))]
    lines = [line.partition("#")[0] for text in code for line in text.splitlines() if line.startswith("make ")]
    words = [word for line in lines for word in shlex.split(line)[1:]]

    assert {word for word in words if "=" not in word} <= targets


def test_every_quoted_benchmark_figure_can_be_measured():
    arguments = re.findall(r'make bench ARGS="?([\w -]+)', doc("benchmarks.md").read_text())
    figures = {word for text in arguments for word in text.split() if not word.startswith("--")} - {"granian"}

    assert len(figures) > 5
    assert figures <= set(GOALS)


# The tutorial ---------------------------------------------------------------------------------------------------------


def run_blocks(shell_blocks, demo):
    """Run the blocks in one shell, against the demo, and return the finished process."""
    script = "\n".join(["set -euo pipefail", *shell_blocks])
    script = script.replace(".venv/bin/python", sys.executable).replace("http://127.0.0.1:8000/", demo.url)
    # The command exits 1 when something needs a person, which is not an error of the page.
    script = script.replace("relay --status", "relay --status || true")
    script = script.replace("var/", f"{demo.directory}/").replace("curl -s ", "curl -sS --fail-with-body ")
    return subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )


def texts_on(demo, name, *, typed=False):
    [phone] = [phone for phone in demo.state()["phones"] if phone["name"] == name]
    return [text["text"] for thread in phone["threads"] for text in thread["texts"] if text["typed"] == typed]


def eventually(happened):
    """Wait until the demo's worker has made the condition true."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "the condition was not met in time"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
def test_the_readme_relays_a_first_text(tmp_path):
    readme = section(ROOT / "README.md", "Your first text through the mask")
    with Demo(tmp_path) as demo:
        done = run_blocks([text for language, text in FENCE.findall(readme) if language == "bash"], demo)
        assert done.returncode == 0, done.stdout + done.stderr
        eventually(lambda: "I left my hat in your car." in texts_on(demo, "Driver"))


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
def test_the_tutorial_does_what_it_says(tmp_path):
    steps = defaultdict(list)
    for number, text in re.findall(r"^## (\d)\. .*?\n(.*?)(?=^## )", doc("tutorial.md").read_text(), re.M | re.S):
        steps[int(number)] += [block for language, block in FENCE.findall(text) if language == "bash"]
    whole = [block for number in sorted(steps) if number > 1 for block in steps[number]]
    assert len(whole) >= 9
    with Demo(tmp_path) as demo:
        done = run_blocks(whole, demo)
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"outcome": "relayed"' in done.stdout
        eventually(lambda: "I left my hat in your car." in texts_on(demo, "Driver"))
        ended = "This conversation has ended. Your message was not passed on."
        eventually(lambda: ended in texts_on(demo, "Rider"))
        assert "Hello?" in texts_on(demo, "Rider", typed=True)
        assert "Hello?" not in texts_on(demo, "Driver")


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
def test_the_examples_of_the_api_are_answered(tmp_path):
    shell = [*blocks(doc("api.md"), "bash")]
    made = next(index for index, block in enumerate(shell) if "Idempotency-Key" in block)
    read_id = 'ID=$(printf %s "$MADE" | .venv/bin/python -c \'import json, sys; print(json.load(sys.stdin)["id"])\')'
    shell[made] = f"MADE=$({shell[made].strip()})\n{read_id}"
    with Demo(tmp_path) as demo:
        done = run_blocks(shell, demo)
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"chosen_by":"own country"' in done.stdout


# Contents of the tables -----------------------------------------------------------------------------------------------


def variables():
    """Return every variable that settings.py reads, with its default. None: it is required or computed."""
    found = {"ENV_FILE": ".env"}
    for call in ast.walk(ast.parse((ROOT / "smsproxy" / "settings.py").read_text())):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id == "env"
        ):
            default = next((each.value for each in call.keywords if each.arg == "default"), None)
            positional = [each for each in call.args[1:] if isinstance(each, ast.Constant)]
            if default is None and positional:
                default = positional[0]
            found[ast.literal_eval(call.args[0])] = evaluated(default)
    return found


def evaluated(node):
    """Return the default as a string: "" for an empty one, None if it is not a constant."""
    if node is None or any(isinstance(each, ast.Name) for each in ast.walk(node)):
        return None
    value = eval(compile(ast.Expression(node), "settings", "eval"), {"__builtins__": {}})
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def settings_rows():
    text = doc("settings.md").read_text().partition("## Outside the settings")[0]
    return dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", text, re.MULTILINE))


def test_the_table_has_exactly_the_settings():
    assert set(settings_rows()) == set(variables())


def test_the_defaults_in_the_table_match_the_settings():
    # Neither an empty nor a required variable has a default to compare.
    defaults = {name: default for name, default in variables().items() if default}
    documented = {name: INLINE.findall(row)[0] for name, row in settings_rows().items() if name in defaults}

    assert documented == defaults


@each_page
def test_every_named_variable_exists(page):
    outside = set(first_cells(section(doc("settings.md"), "Outside the settings")))
    source = "\n".join(
        file.read_text()
        for folder in ("smsproxy", "numbers", "conversations", "benchmarks", "tests/support")
        for file in (ROOT / folder).rglob("*.py")
    )
    code = " ".join([*INLINE.findall(prose(page)), *blocks(page, "bash", "text")])
    # All capitals with an underscore, or followed by a value.
    named = set(re.findall(r"(?<![\w$])([A-Z][A-Z]*(?:_[A-Z]+)+)\b", code)) | set(
        re.findall(r"(?<![\w$])([A-Z]{4,})=", code)
    )
    named -= {"ARGS", "PYTHON"}  # Variables of make.
    unknown = named - set(variables()) - {name for name in outside if f'"{name}"' in source}
    of_the_code = {name for name in unknown if re.search(rf"^\s*{name}\b.* = ", source, re.MULTILINE)}

    assert unknown - of_the_code - {"FOR_UPDATE"} == set()


def test_the_table_has_exactly_the_endpoints():
    documented = {
        re.sub(r"\{id\}", "<uuid:public_id>", address.lstrip("/"))
        for text in first_cells(section(doc("api.md"), "Endpoints"))
        for address in [text.split()[1]]
    }
    patterns = [pattern for pattern in flat(get_resolver().url_patterns) if pattern.startswith(("api/", "metrics"))]

    assert documented == set(patterns)


def flat(patterns, prefix=""):
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield f"{prefix}{pattern.pattern}"
        else:
            yield from flat(pattern.url_patterns, f"{prefix}{pattern.pattern}")


def test_every_field_of_the_api_is_in_the_tables():
    new = set(NewConversationSerializer().fields) | {f"participants[].{name}" for name in PersonSerializer().fields}
    shown = set(ConversationSerializer.Meta.fields) | {
        f"participants[].{name}" for name in ParticipantSerializer.Meta.fields
    }

    assert set(first_cells(section(doc("api.md"), "Create a conversation"))) == new
    assert set(first_cells(section(doc("api.md"), "A conversation"))) == shown
    assert set(first_cells(section(doc("api.md"), "List and read"))) == set(ListFilters().fields)
    assert set(first_cells(section(doc("api.md"), "Explain a route"))) == set(RouteExplanation.__dataclass_fields__)
    for name in ClosingSerializer().fields:
        assert f"`{name}`" in section(doc("api.md"), "Close")


def test_the_tables_have_exactly_the_problem_codes():
    sources = [
        *(ROOT / "conversations" / "api").glob("*.py"),
        *(ROOT / "smsproxy" / "api").glob("*.py"),
        *(ROOT / "conversations" / "lifecycle").glob("*.py"),
        ROOT / "conversations" / "trust" / "labels.py",
    ]
    text = "\n".join(file.read_text() for file in sources)
    codes = set(re.findall(r'\bcode=f?"([a-z0-9_]+)"', text)) | set(re.findall(r'default_code = "(\w+)"', text))
    # Codes of rejected creations, which are the second argument.
    codes |= set(re.findall(r'CannotCreate\(\s*(?:\w+\.)?position,\s*"(\w+)"', text))
    codes |= set(re.findall(r'__init__\(position, "(\w+)"', text))
    codes |= set(re.findall(r'^\s+position,\s*\n\s*"(proxy_\w+)"', text, re.MULTILINE)) | {"no_number_free"}
    codes |= set(re.findall(r'LabelNotAllowed\(\s*"(\w+)"', text))
    # Codes of Django REST framework.
    codes |= {"parse_error", "authentication_failed", "method_not_allowed", "unsupported_media_type"}
    errors = section(doc("api.md"), "Errors")
    documented = set(re.findall(r"^\| \d{3} \| `(\w+)` \|", errors, re.MULTILINE))
    of_fields = set(first_cells(errors.partition("Codes of single fields")[2].partition("`no_number_free` has")[0]))

    assert '"no_number_free"' in text
    figures = set(first_cells(errors.partition("`no_number_free` has")[2]))
    assert len(figures) == 6
    assert {name for name in figures if f'"{name}": self.' not in text} == set()
    assert documented | of_fields == codes


def test_the_tables_have_exactly_the_metrics_and_kinds_of_alert(db):
    operating = doc("operating.md")
    collected: list[Metric] = [*PoolCollector().collect(), *SendingCollector().collect()]
    names = {f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in collected}

    assert set(first_cells(section(operating, "Metrics"))) == names
    assert set(first_cells(section(operating, "Alerts"))) == {kind.value for kind in Trouble}


def test_the_tables_have_exactly_the_states():
    states = section(doc("architecture.md"), "States")
    tables = [first_cells(table) for table in re.split(r"^\*\*", states, flags=re.MULTILINE)]
    kinds = [OutboundState, InboundOutcome, ConversationState, OrderState]

    assert [set(table) for table in tables if table] == [set(kind.values) for kind in kinds]
    assert set(first_cells(section(doc("pool.md"), "Which number a person gets"))) == {
        each.value for each in Preference
    }


def test_the_table_has_exactly_the_transitions_of_a_number():
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", section(doc("pool.md"), "The life of a number"), re.M)

    assert {state: set(INLINE.findall(after)) for state, after in rows} == {
        str(state): {str(after) for after in VirtualNumber.ALLOWED[state]} for state in NumberState
    }


def test_every_exit_code_is_in_the_table():
    codes = re.findall(r"^\| (\d) \|", section(doc("operating.md"), "Exit codes of commands"), re.MULTILINE)

    assert [int(code) for code in codes] == [code.value for code in ExitCode]
