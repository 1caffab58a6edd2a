"""The tables of the documentation are complete: settings, fields, codes, metrics and states."""

import ast
import re

from django.urls import URLPattern, get_resolver
from prometheus_client.core import Metric

from conversations.api.answers import ConversationSerializer, MessageCountsSerializer, ParticipantSerializer
from conversations.api.change_requests import ChangeSerializer, ClosingSerializer, ReopeningSerializer
from conversations.api.list_filters import ListFilters
from conversations.api.requests import NewConversationSerializer, PersonSerializer
from conversations.insight.explain_route import RouteExplanation
from conversations.insight.troubles.kinds import KINDS, Trouble
from conversations.models import ConversationState, InboundOutcome, OutboundState
from conversations.monitoring.metrics import COLLECTORS
from numbers.assignment.choose import Preference
from numbers.management.exit_codes import ExitCode
from numbers.models import NumberState, OrderState, VirtualNumber
from smsproxy.cockpit.places import PLACES
from tests.support.demo_process import ROOT
from tests.support.documentation import INLINE, blocks, doc, each_page, first_cells, prose, section


def variables():
    """Return every variable that settings.py reads, with its default. None: it is required or computed."""
    found = {"ENV_FILE": ".env"}
    for call in ast.walk(ast.parse((ROOT / "smsproxy" / "settings.py").read_text())):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id == "env"
            and call.func.attr not in ("require", "raise_errors")
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
    named -= {"ARGS", "PYTHON", "EXTRAS", "CURSOR"}  # Variables of make, of deploy/build.sh and of examples.
    unknown = named - set(variables()) - {name for name in outside if f'"{name}"' in source}
    of_the_code = {name for name in unknown if re.search(rf"^\s*{name}\b.* = ", source, re.MULTILINE)}

    assert unknown - of_the_code - {"FOR_UPDATE"} == set()


def test_the_table_has_exactly_the_endpoints():
    cells = first_cells(section(doc("api.md"), "Endpoints"))
    documented = {path for cell in cells for path in re.findall(r"/(\S+)", cell)}
    patterns = [pattern for pattern in flat(get_resolver().url_patterns) if pattern.startswith(("api/", "metrics"))]

    assert {re.sub(r"\{\w+\}", "{}", path) for path in documented} == {
        re.sub(r"<[\w:]+>", "{}", pattern) for pattern in patterns
    }


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
    about_a_conversation, _, counts = section(doc("api.md"), "A conversation").partition("### Counts")
    assert set(first_cells(about_a_conversation)) == shown
    assert set(first_cells(counts)) == set(MessageCountsSerializer().fields)
    assert set(first_cells(section(doc("api.md"), "List and read"))) == set(ListFilters().fields)
    assert set(first_cells(section(doc("api.md"), "Explain a route"))) == set(RouteExplanation.__dataclass_fields__)
    assert set(first_cells(section(doc("api.md"), "Change"))) == set(ChangeSerializer().fields)
    for name in ClosingSerializer().fields:
        assert f"`{name}`" in section(doc("api.md"), "Close")
    for name in ReopeningSerializer().fields:
        assert f"`{name}`" in section(doc("api.md"), "Reopen")


def test_each_kind_of_trouble_has_a_section_with_its_severity():
    sections = re.findall(r"^## (\w+)\n\n\*\*(\w+)\.\*\*", doc("alerts.md").read_text(), re.MULTILINE)

    assert dict(sections) == {kind.value: about.severity.value.capitalize() for kind, about in KINDS.items()}
    assert set(KINDS) == set(PLACES) == set(Trouble)


def test_the_table_has_exactly_the_metrics(db):
    collected: list[Metric] = [metric for collector in COLLECTORS for metric in collector().collect()]
    names = {f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in collected}

    table = section(doc("monitoring.md"), "Metrics").partition("The `reason` of a failure")[0]
    assert set(first_cells(table)) == names


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
