"""The service that a window starts does not load a model until the window is drawn."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from appliance.desktop.child import ServiceChild
from tests.running import apart
from tests.waiting import wait_until

SERVE = """
import sys
from appliance.service import appliance as bootstrap
from appliance.__main__ import main
bootstrap.WINDOW_SECONDS = float(sys.argv.pop(1))
main()
"""


@pytest.fixture
def child(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServiceChild]:
    """Not started yet; the parameter is the window's time limit, in seconds."""
    command = [sys.executable, "-c", SERVE, str(request.param), "serve", "--until-eof"]
    one = ServiceChild(command, apart(tmp_path), tmp_path / "data")
    yield one
    one.end()


def is_ready(url: str) -> bool:
    """Whether the model answers; False while there is no service."""
    try:
        return httpx.get(url + "/readiness").status_code == 200
    except httpx.TransportError:
        return False


def service_on(folder: Path) -> psutil.Process:
    """The process that serves this data folder."""
    return psutil.Process(json.loads((folder / "service.json").read_text())["pid"])


def workers(service: psutil.Process) -> list[psutil.Process]:
    """Its worker processes."""
    return [one for one in service.children() if "worker" in one.cmdline()]


@pytest.mark.parametrize("child", [600], indirect=True)
def test_the_model_loads_once_the_window_is_drawn(child: ServiceChild, tmp_path: Path) -> None:
    service = child.start()
    process = service_on(tmp_path / "data")
    time.sleep(1)
    assert service.is_appliance()
    assert not workers(process)
    child.window_is_drawn()
    wait_until(lambda: is_ready(service.url), "it does not load")
    (worker,) = workers(process)

    # The window is still there when the service comes back.
    process.kill()
    psutil.wait_procs([worker], 30)
    wait_until(lambda: is_ready(service.url), "it does not load again")


@pytest.mark.parametrize("child", [0.1], indirect=True)
def test_a_window_that_is_never_drawn_keeps_no_model_away(child: ServiceChild) -> None:
    service = child.start()
    wait_until(lambda: is_ready(service.url), "it does not load")
