"""Options of the test run. pytest loads them as a plugin: see tests/conftest.py."""

import pytest
from _pytest.nodeid import coerce_node_id

from tests.support import hypothesis_profiles

hypothesis_profiles.register()


def pytest_addoption(parser):
    group = parser.getgroup("smsproxy")
    group.addoption(
        "--no-skips",
        action="store_true",
        help="fail each test that would be skipped: everything that it needs must be installed",
    )
    group.addoption(
        "--every-step",
        action="store_true",
        help="in crash tests, kill at every step instead of every fifth",
    )
    group.addoption(
        "--only-database",
        action="store_true",
        help="leave out the quick tests that use no database and have no random examples: they passed in make test",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("no_skips"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: {reason} (skipped, which --no-skips forbids)"
    return report


def _needs_this_run(item):
    """Return whether a second run, on another database, could have another result."""
    uses_database = item.get_closest_marker("django_db") or {"db", "transactional_db"} & set(item.fixturenames)
    is_hypothesis = getattr(item.obj, "is_hypothesis_test", False)
    return bool(
        uses_database or is_hypothesis or item.get_closest_marker("slow") or item.get_closest_marker("postgres")
    )


def pytest_collection_modifyitems(config, items):
    """Leave out what --only-database says, and keep the tests of one xdist_group together.

    xdist 3.8.0 recognizes a group by a suffix of the test's id, but sets it where pytest 9.2 no longer reads it.
    """
    if config.getoption("only_database"):
        config.hook.pytest_deselected(items=[item for item in items if not _needs_this_run(item)])
        items[:] = [item for item in items if _needs_this_run(item)]
    if getattr(config.option, "loadgroup", False):
        for item in items:
            group = item.get_closest_marker("xdist_group")
            if group and "@" not in item.nodeid.rpartition("::")[2]:
                item._id = coerce_node_id(f"{item.nodeid}@{group.args[0]}")
