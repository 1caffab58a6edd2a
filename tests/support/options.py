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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("no_skips"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: {reason} (skipped, which --no-skips forbids)"
    return report


def pytest_collection_modifyitems(config, items):
    """Keep the tests of one xdist_group together.

    xdist 3.8.0 recognizes a group by a suffix of the test's id, but sets it where pytest 9.2 no longer reads it.
    """
    if getattr(config.option, "loadgroup", False):
        for item in items:
            group = item.get_closest_marker("xdist_group")
            if group and "@" not in item.nodeid.rpartition("::")[2]:
                item._id = coerce_node_id(f"{item.nodeid}@{group.args[0]}")
