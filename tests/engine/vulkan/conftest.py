"""Software Vulkan: Mesa's driver that emulates a GPU on the processor, with the real backend
and the real model."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.engine.vulkan.gpu_requests import PATIENCE, ask, model
from tests.running import Running
from tests.waiting import wait_until

DRIVERS = Path("/usr/share/vulkan/icd.d")
FAULTY = (sys.executable, str(Path(__file__).with_name("faulty_driver.py")))
PACKAGES = "install the Debian packages `mesa-vulkan-drivers` and `libvulkan1`"


@pytest.fixture(scope="session")
def software() -> dict[str, str]:
    """Variables that make that driver the only GPU of this machine. llama.cpp ignores that GPU
    unless it is named."""
    found = sorted(DRIVERS.glob("lvp_icd*.json"))
    if not found:
        pytest.skip(f"software Vulkan is missing: {PACKAGES}")
    return {
        "GGML_VK_VISIBLE_DEVICES": "0",
        "VK_DRIVER_FILES": str(found[0]),
    }


@dataclass(frozen=True)
class FirstUse:
    """The first use of a model on a new GPU."""

    meanwhile: httpx.Response
    """The response to a request during the comparison."""
    cache: Path
    """The cache with the result: the GPU computes correctly."""
    log: str


@pytest.fixture(scope="session")
def first_use(software: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> FirstUse:
    """An appliance configured for the GPU, run until it uses it."""
    folder = tmp_path_factory.mktemp("first_use")
    variables = {**software, "VK_FAULTS": "{}", "APPLIANCE_MODELS_DEFAULT_DEVICE": "vulkan"}
    appliance = Running(folder, command=FAULTY, **variables).start()
    try:
        meanwhile = ask(appliance)
        wait_until(lambda: model(appliance)["on"] == ["Vulkan0"], "it never moved", PATIENCE)
    finally:
        assert appliance.stop() == 0
    return FirstUse(meanwhile, folder / "cache", appliance.log.read_text())


@pytest.fixture(scope="session")
def compared(first_use: FirstUse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with that result alone."""
    cache = tmp_path_factory.mktemp("compared")
    inside = Path("appliance", "fidelity")
    shutil.copytree(first_use.cache / inside, cache / inside)
    return cache


@pytest.fixture
def known(compared: Path, tmp_path: Path) -> Path:
    """A folder for an appliance with a verified GPU."""
    shutil.copytree(compared, tmp_path / "cache", dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="module")
def on_gpu(
    compared: Path, software: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """An appliance with a verified GPU, configured to use it."""
    folder = tmp_path_factory.mktemp("on_gpu")
    shutil.copytree(compared, folder / "cache")
    appliance = Running(folder, **software, APPLIANCE_MODELS_DEFAULT_DEVICE="vulkan").start()
    yield appliance
    assert appliance.stop() == 0
