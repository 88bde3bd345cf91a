"""A model's memory is one and the same figure everywhere it is reported, and it is correct."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.running import Running
from tests.waiting import wait_until

EMBEDDED = "smollm2-135m-instruct"


def model_status(service: Running) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{service.url}/api/models/{EMBEDDED}").json()
    return found


def sum_of(memory: dict[str, int]) -> int:
    return sum(memory[name] for name in ("weights", "cache", "compute", "saved", "process"))


def names(output: str, size: int) -> bool:
    """Whether the model's line has that figure, rounded for display."""
    (line,) = [line for line in output.splitlines() if EMBEDDED in line]
    found = re.findall(r"([\d.]+) ([MG])B", line)
    return any(
        abs(float(number) * (1e9 if unit == "G" else 1e6) - size) < 0.06 * size
        for number, unit in found
    )


@pytest.mark.skipif(
    sys.platform != "linux", reason="drivers of GPUs are left out by Vulkan's loader"
)
def test_every_route_reports_the_same_of_a_loaded_model(tmp_path: Path) -> None:
    service = Running(tmp_path, VK_DRIVER_FILES=os.devnull, APPLIANCE_ENGINE_N_CTX="0").start()
    worker = psutil.Process(service.worker_pid)
    processes = [worker, *worker.children(recursive=True)]
    resident = sum(process.memory_info().rss for process in processes)
    loaded = model_status(service)
    assert loaded["memory"]["measured"]
    assert loaded["memory_bytes"] == sum_of(loaded["memory"])
    assert loaded["memory_bytes"] == pytest.approx(resident, rel=0.02)

    figures = httpx.get(service.url + "/api/status").json()["figures"]["memory"]
    (on_status,) = figures["models"]
    assert on_status["id"] == EMBEDDED
    assert figures["workers"] == sum_of(on_status["memory"]) == pytest.approx(resident, rel=0.02)
    for command in ("ps", "list", "doctor"):
        assert names(service.command(command).stdout, resident), command
    assert f"{loaded['memory']['slots']} slots" in service.command("doctor").stdout

    httpx.post(f"{service.url}/api/models/{EMBEDDED}/unload")
    wait_until(lambda: model_status(service)["status"] == "unloaded", "it stays loaded")
    unloaded = model_status(service)
    assert not unloaded["memory"]["measured"]
    assert unloaded["memory_bytes"] == sum_of(unloaded["memory"])
    assert 0.95 <= unloaded["memory_bytes"] / loaded["memory_bytes"] <= 1.10
    assert service.stop() == 0
    assert names(service.command("list").stdout, unloaded["memory_bytes"])
