"""Fixtures and hooks for all tests."""

import functools
import gc
import inspect
import os
import ssl
import sys
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.models.gemma import gemma_file
from tests.running import Running, serving

# A slow machine must not fail a test.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


ANSWER_SECONDS = 60.0


def pytest_configure() -> None:
    """Each call such as `httpx.get` makes a TLS context, and each context reads the certificates of
    every authority; one is enough for all. Nor does a test fail for an answer that took more than
    five seconds. Of what is collected now nothing is garbage."""
    gc.disable()
    make = functools.cache(ssl.create_default_context)
    pytest.MonkeyPatch().setattr(ssl, "create_default_context", make)
    usual = inspect.signature(httpx.get).parameters["timeout"].default
    usual.connect = usual.read = usual.write = usual.pool = ANSWER_SECONDS


def pytest_collection_finish() -> None:
    """Five thousand tests and their modules stay until the end. The collector doesn't look at half
    a million objects each time, nor are they copied in each process that a test forks."""
    gc.freeze()
    gc.enable()


REQUIRE_ALL = os.environ.get("REQUIRE_ALL") == "1"


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """A skipped test proves nothing: under REQUIRE_ALL=1 it counts as failed."""
    if REQUIRE_ALL and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_ALL=1, and this was left out: {reason}"


_UNDONE = pytest.StashKey[str]()
"""The outcome of a test that did not complete."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tests and fixtures that skip."""
    report = yield
    if report.outcome != "passed":
        item.stash[_UNDONE] = report.outcome
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """What a test that skips or fails left open is found now, and not while another one runs, which
    would be blamed. A skip has to clean up; of a failure it is no more than what comes of it."""
    yield
    undone = item.stash.get(_UNDONE, "")
    if not undone:
        return
    for name in ("last_exc", "last_value", "last_traceback"):  # they keep its variables alive
        if hasattr(sys, name):
            setattr(sys, name, None)
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always", ResourceWarning)
        gc.collect()
    if left and undone == "skipped":
        pytest.fail(f"it was skipped and left open: {left[0].message}")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Modules that skip as a whole."""
    report = yield
    _fail_if_skipped(report)
    return report


LONG_FIRST = (
    *("engine", "worker", "packaging", "service", "tuning", "desktop", "browser"),
    *("clients", "cli", "api", "store"),
)
"""Folders with files that take long. What minds a busy machine comes last in the first line: checks
and vitest, which run at the same time, have ended by then."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: where several run at a time, none of them is begun last."""

    def place(item: pytest.Item) -> int:
        folder = "/".join(Path(item.nodeid).parts[1:2])
        return LONG_FIRST.index(folder) if folder in LONG_FIRST else len(LONG_FIRST)

    items.sort(key=place)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One appliance with the embedded model that many tests share; leave it as it was."""
    folder = tmp_path_factory.mktemp("appliance")
    yield from serving(folder)


@pytest.fixture(scope="session")
def gemma() -> Path:
    """The file of Gemma 3 270M."""
    return gemma_file()
