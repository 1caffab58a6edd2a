"""Options of the test run. pytest loads them as a plugin: see tests/conftest.py."""

import gc

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
        "--after-make-test",
        action="store_true",
        help="leave out the quick tests that passed in make test and do not depend on the kind of database",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("no_skips"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: {reason} (skipped, which --no-skips forbids)"
    return report


# Doors and read-only pages: what they call has tests on both databases.
_DOORS = (
    *("admin", "api/contract", "api/conversations", "api/keys", "carriers", "insight", "monitoring", "project"),
    *("services", "simulator", "webhooks", "worker"),
)


def _needs_this_run(item):
    """Return whether a second run, on another database, could have another result."""
    if item.get_closest_marker("slow") or item.get_closest_marker("postgres"):
        return True
    uses_database = item.get_closest_marker("django_db") or {"db", "transactional_db"} & set(item.fixturenames)
    return bool(uses_database) and not item.nodeid.startswith(tuple(f"tests/{door}/" for door in _DOORS))


def pytest_collection_modifyitems(config, items):
    """Leave out what --after-make-test says, and keep the tests of one xdist_group together.

    xdist 3.8.0 recognizes a group by a suffix of the test's id, but sets it where pytest 9.2 no longer reads it.
    """
    if config.getoption("after_make_test"):
        config.hook.pytest_deselected(items=[item for item in items if not _needs_this_run(item)])
        items[:] = [item for item in items if _needs_this_run(item)]
    if getattr(config.option, "loadgroup", False):
        for item in items:
            group = item.get_closest_marker("xdist_group")
            if group and "@" not in item.nodeid.rpartition("::")[2]:
                item._id = coerce_node_id(f"{item.nodeid}@{group.args[0]}")


def pytest_collection_finish():
    """Let the garbage collector skip the modules and the collected tests."""
    gc.collect()
    gc.freeze()
