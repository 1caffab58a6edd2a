"""The pages of the documentation build, and their links and the files that they name exist."""

import re
import subprocess
import sys

import pytest

from tests.support.demo_process import ROOT
from tests.support.documentation import FENCE, INLINE, PAGES, doc, each_page, prose, section

LINK = re.compile(r"\]\(([^)\s]+)\)")
PLACES = ("smsproxy/", "numbers/", "conversations/", "tests/", "benchmarks/", "docs/")


def test_the_readme_has_at_most_150_lines():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.slow
@pytest.mark.xdist_group("servers")
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
