"""The memory reported for a model is what its processes use."""

import mmap
import os
import sys
from pathlib import Path

import pytest

from appliance.config import paths
from appliance.config.environment import worker_environment
from appliance.engine.local.engine import LocalEngine
from appliance.metrics.process_memory import of_process
from appliance.models.memory.usage import MemoryUse, measured, taken
from appliance.worker.runners.llama_cpp.native.mapped_file import let_go
from tests.engine.conftest import load_of
from tests.engine.engine_client import CollectedReply

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
LITTLE, MUCH = 0.95, 1.10
"""Tolerance of the estimate: it may be slightly low, and more often high."""
SETTINGS = {"n_ctx": 8192, "n_batch": 512, "n_ubatch": 512, "n_seq_max": 4, "device": "cpu"}


def used(file: Path, **changes: object) -> tuple[MemoryUse, int]:
    """The estimate with the worker's own figures, and the memory of its processes."""
    # Memory of GPU drivers is not the model's, so no GPU is used.
    environment = {**worker_environment(), "VK_DRIVER_FILES": os.devnull}
    engine = LocalEngine(
        "it",
        load_of(str(file), **{**SETTINGS, **changes}),
        command=paths.worker_command(),
        environment=environment,
        max_waiting=4,
    )
    engine.start()
    try:
        assert engine.wait_ready(600), engine.state
        CollectedReply(engine, "The sea is wide, and a ship is small. " * 60).wait(300)
        resident = of_process(engine.worker_pid, children=True)
        info = engine.state.model
        assert info and info.context
        estimated = taken(info.file, info.context, info.n_gpu_layers)
        assert estimated
        assert LITTLE <= estimated.cpu.total / resident <= MUCH, (estimated.cpu, resident)
        found = measured(
            resident,
            engine.counters.kv_memory_bytes,
            weights=info.size,
            settings=info.context,
            file=info.file,
        )
    finally:
        engine.close()
    assert (found.measured, found.total) == (True, resident)
    return found, resident


@pytest.mark.parametrize(
    ("unified", "kind"),
    [
        (True, "f16"),
        (False, "q8_0"),
        pytest.param(True, "q8_0", marks=pytest.mark.soak),
        pytest.param(False, "f16", marks=pytest.mark.soak),
    ],
)
def test_of_the_embedded_model(unified: bool, kind: str) -> None:
    found, _ = used(paths.embedded_model(), kv_unified=unified, type_k=kind, type_v=kind)
    cells = 8192 * (1 if unified else 4)
    assert found.slots == (1 if unified else 4)
    assert found.cache == cells * 30 * 2 * (192 * 2 if kind == "f16" else 192 // 32 * 34)
    assert found.weights == pytest.approx(97_000_000, rel=0.01)


def test_of_gemma(gemma: Path) -> None:
    """Some weights are copied into a layout for the processor: they count once."""
    found, _ = used(gemma, kv_unified=True)
    assert found.weights == pytest.approx(gemma.stat().st_size, rel=0.03)


def mapped(file: Path) -> int:
    """The file's bytes that this process has in memory."""
    size, counts = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):
            counts = line.endswith(f" {file}")
        elif counts and name == "Rss:":
            size += int(rest[0]) * 1024
    return size


def test_a_released_file_takes_no_memory_until_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(os.urandom(1 << 20))
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as view:
        assert view[:] == file.read_bytes()
        assert mapped(file) == 1 << 20
        let_go(file)
        assert mapped(file) == 0
        assert view[:] == file.read_bytes()
        assert mapped(file) == 1 << 20


def test_evicted_weights_are_not_counted() -> None:
    """Weights of a file that was not fully read, or that the system evicted."""
    few = measured(150, 20, weights=100)
    assert (few.weights, few.saved, few.process, few.total) == (100, 20, 30, 150)
    none = measured(60, 20, weights=100)
    assert (none.weights, none.saved, none.process, none.total) == (40, 20, 0, 60)
    less = measured(10, 20, weights=100)
    assert (less.weights, less.saved, less.process, less.total) == (0, 10, 0, 10)
