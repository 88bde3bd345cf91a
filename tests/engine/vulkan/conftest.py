"""Software Vulkan: Mesa's driver that has a processor compute as a GPU would, with the real backend
and the real model."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.engine.vulkan.gpu_requests import PATIENCE, ask, model
from tests.running import Running
from tests.waiting import wait_until

DRIVERS = Path("/usr/share/vulkan/icd.d")
PACKAGES = "install the Debian packages `mesa-vulkan-drivers` and `libvulkan1`"


@pytest.fixture(scope="session")
def software() -> dict[str, str]:
    """Variables with which that driver is the one GPU of this machine. llama.cpp passes over it
    unless it is named."""
    found = sorted(DRIVERS.glob("lvp_icd*.json"))
    if not found:
        pytest.skip(f"software Vulkan is missing: {PACKAGES}")
    return {"GGML_VK_VISIBLE_DEVICES": "0", "VK_DRIVER_FILES": str(found[0])}


@dataclass(frozen=True)
class FirstUse:
    """Of a model on a GPU that nobody knows."""

    meanwhile: httpx.Response
    """To a request that came while they were compared."""
    cache: Path
    """What the appliance left: the GPU is right."""
    log: str


@pytest.fixture(scope="session")
def first_use(software: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> FirstUse:
    """An appliance that is to use the GPU, until it does."""
    folder = tmp_path_factory.mktemp("first_use")
    appliance = Running(folder, **software, APPLIANCE_MODELS_DEFAULT_DEVICE="vulkan").start()
    try:
        meanwhile = ask(appliance)
        wait_until(lambda: model(appliance)["on"] == ["Vulkan0"], "it never moved", PATIENCE)
    finally:
        assert appliance.stop() == 0
    return FirstUse(meanwhile, folder / "cache", appliance.log.read_text())


@pytest.fixture(scope="session")
def compared(first_use: FirstUse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which nothing is known but that."""
    cache = tmp_path_factory.mktemp("compared")
    inside = Path("appliance", "fidelity")
    shutil.copytree(first_use.cache / inside, cache / inside)
    return cache


@pytest.fixture
def known(compared: Path, tmp_path: Path) -> Path:
    """A folder for an appliance that knows the GPU."""
    shutil.copytree(compared, tmp_path / "cache", dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="module")
def on_gpu(
    compared: Path, software: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """An appliance that knows the GPU and is to use it."""
    folder = tmp_path_factory.mktemp("on_gpu")
    shutil.copytree(compared, folder / "cache")
    appliance = Running(folder, **software, APPLIANCE_MODELS_DEFAULT_DEVICE="vulkan").start()
    yield appliance
    assert appliance.stop() == 0
