"""The version is in one place, and the changelog has a section for it."""

import re
import tomllib

from smsproxy.version import VERSION
from tests.support.demo_process import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
SECTION = re.compile(r"^## \[(?P<version>\d+\.\d+\.\d+)\] - (?P<date>unreleased|\d{4}-\d\d-\d\d)$", re.MULTILINE)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_newest_section_of_the_changelog_is_about_the_version_of_the_program():
    sections = list(SECTION.finditer(CHANGELOG))
    versions = [tuple(map(int, found["version"].split("."))) for found in sections]

    assert sections[0]["version"] == VERSION
    assert versions == sorted(versions, reverse=True)
    assert CHANGELOG.count("\n## ") == len(sections)
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= KINDS


def test_only_the_newest_version_may_be_unreleased():
    assert "unreleased" not in {found["date"] for found in list(SECTION.finditer(CHANGELOG))[1:]}


def test_the_version_is_written_in_one_place_which_the_package_and_the_documentation_read():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert "version" not in pyproject["project"]
    assert pyproject["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "smsproxy.version.VERSION"}
    assert "version = release = VERSION" in (ROOT / "docs" / "conf.py").read_text()
    for name in ("pyproject.toml", "docs/conf.py", "Makefile", "README.md", ".ci/run"):
        assert VERSION not in (ROOT / name).read_text(), name


def test_every_link_of_the_changelog_to_a_file_of_ours_leads_somewhere():
    links = re.findall(r"\]\((?!https://)([^)#]+)(?:#[^)]*)?\)", CHANGELOG)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
