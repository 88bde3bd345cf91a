"""Software Vulkan: Mesa's driver that has a processor compute as a GPU would, with the real backend
and the real model."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import paths
from appliance.engine.fidelity.compare import compare
from appliance.environment import worker_environment
from tests.engine.conftest import load_of
from tests.running import Running

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


@pytest.fixture(scope="session")
def compared(software: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the embedded model was compared on it: the GPU is right."""
    cache = tmp_path_factory.mktemp("compared")
    folder = cache / "appliance" / "fidelity"
    outcome = compare(
        load_of(str(paths.embedded_model()), fidelity_folder=str(folder)),
        ("Vulkan0",),
        command=paths.fidelity_command(),
        environment=worker_environment({**os.environ, **software}),
    )
    assert outcome.result and not outcome.result.fault, outcome
    return cache


@pytest.fixture
def known(compared: Path, tmp_path: Path) -> Path:
    """A folder for an appliance that knows the GPU."""
    shutil.copytree(compared, tmp_path / "cache")
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
