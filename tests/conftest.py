"""Rules for the whole suite: with all components promised nothing is skipped, and samples are repeatable."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# The usual suites draw the same samples each time; the soak suites look for new ones under a printed seed.
settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("soak", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile("soak" if "FERRY_SOAK_MINUTES" in os.environ else "fixed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-all",
        action="store_true",
        default=os.environ.get("CI", "").lower() in {"1", "true"},
        help="a skipped test is a failure that names what is missing (the default where CI is set)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if item.config.getoption("--require-all"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    if collector.config.getoption("--require-all"):
        _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure. An expected failure (xfail) is no skip: the test ran."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid}: nothing may be skipped here, but it was. {reason}"
