"""The commands, options and targets that the documentation quotes exist."""

import re
import shlex
from dataclasses import dataclass

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandError

from benchmarks.goals import GOALS
from tests.support.demo_process import ROOT
from tests.support.documentation import INLINE, PAGES, blocks, doc, each_page, prose

OURS = ("smsproxy", "numbers", "conversations")


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
    figures = {word for text in arguments for word in text.split() if not word.startswith("--")} - {"granian", "soak"}

    assert len(figures) > 5
    assert figures <= set(GOALS)
