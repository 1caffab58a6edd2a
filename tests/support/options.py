"""Options of the test run. pytest loads them as a plugin: see tests/conftest.py."""

import pytest

from tests.support import hypothesis_profiles

hypothesis_profiles.register()


def pytest_addoption(parser):
    group = parser.getgroup("smsproxy")
    group.addoption(
        "--no-skips",
        action="store_true",
        help="fail each test that would be skipped: whatever it needs must be there",
    )
    group.addoption(
        "--every-step",
        action="store_true",
        help="kill at every step in tests of crashes, not at every fifth",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("no_skips"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: {reason} (skipped, which --no-skips forbids)"
    return report
