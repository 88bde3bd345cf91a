"""The memory estimate, compared with llama.cpp's real use, and the decisions based on it."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from msgspec import convert

from appliance.config import paths
from appliance.config.context import ContextSettings
from appliance.models.gguf.header import GgufHeader, read_header
from appliance.models.memory.estimate import MemoryEstimate, MemoryPart, estimate
from tests.models import llama_process
from tests.models.architectures import deci, gemma3, granitehybrid, mamba, qwen3, qwen3moe
from tests.models.gguf_writer import Gguf, llama, u32

GGML_TYPES = {"f16": 1, "q4_0": 2, "q8_0": 8}
MIB = 1 << 20
# n_ctx, n_seq_max, kv_unified, n_batch, n_ubatch, type_k, type_v
Cell = tuple[int, int, bool, int, int, str, str]
FEW: list[Cell] = [
    (2048, 4, True, 256, 256, "f16", "f16"),
    (4096, 4, False, 2048, 512, "q8_0", "q4_0"),
    (512, 1, True, 512, 512, "f16", "f16"),
]
MANY: list[Cell] = [
    *((n_ctx, 1, True, 512, n_ubatch, kind, kind)
      for n_ctx in (512, 2048, 8192, 32768)
      for n_ubatch in (64, 512)
      for kind in GGML_TYPES),
    *((2048, n_seq_max, unified, 2048, n_ubatch, "f16", "q8_0")
      for n_seq_max in (2, 8)
      for unified in (True, False)
      for n_ubatch in (128, 2048)),
]  # fmt: skip


NAMES = ("n_ctx", "n_seq_max", "kv_unified", "n_batch", "n_ubatch", "type_k", "type_v")


def context(cell: Cell, **more: Any) -> ContextSettings:
    return convert({**dict(zip(NAMES, cell, strict=True)), **more}, ContextSettings)


def estimated(
    header: GgufHeader, cell: Cell, *, n_gpu_layers: int = 0, **more: Any
) -> MemoryEstimate:
    return estimate(header, context(cell, **more), n_gpu_layers)


def native_cell(cell: Cell, **more: Any) -> dict[str, Any]:
    """llama.cpp's parameters for the same context, as a worker gives them."""
    settings = context(cell, **more)
    return {
        "n_ctx": settings.n_ctx * (1 if settings.kv_unified else settings.n_seq_max),
        "n_seq_max": settings.n_seq_max,
        "kv_unified": settings.kv_unified,
        "n_batch": settings.n_batch,
        "n_ubatch": settings.n_ubatch,
        "n_outputs_max": settings.n_seq_max,
        "type_k": GGML_TYPES[settings.type_k],
        "type_v": GGML_TYPES[settings.type_v],
        "flash_attn_type": {"auto": -1, "off": 0, "on": 1}[settings.flash_attn],
        "swa_full": settings.swa_full,
    }


def hold_against_llama_cpp(file: Path, cells: list[Cell], *, dry: bool) -> list[float]:
    """How much larger than the real use each cell's estimate is, checked by buffer."""
    header = read_header(file)
    errors = []
    for cell, real in zip(
        cells,
        llama_process.sizes(file, [native_cell(cell) for cell in cells], dry=dry),
        strict=True,
    ):
        part = estimated(header, cell).cpu
        # llama.cpp's log has two decimals of a MiB.
        assert part.cache == pytest.approx(real["cache"], rel=0.001, abs=0.02 * MIB), cell
        assert part.output == pytest.approx(real["output"], rel=0.01, abs=0.02 * MIB), cell
        weights = part.weights if dry else real["model"]
        assert part.weights == pytest.approx(weights, rel=0.001, abs=0.02 * MIB), cell
        total = weights + real["cache"] + real["compute"] + real["output"]
        errors.append((part.total - part.process) / total - 1)
    return errors


def test_embedded_model_as_llama_cpp_has_it() -> None:
    errors = hold_against_llama_cpp(paths.embedded_model(), FEW, dry=False)
    assert all(-0.05 <= error <= 0.10 for error in errors), errors


@pytest.mark.soak
def test_embedded_model_in_many_cells() -> None:
    assert len(MANY) >= 20
    errors = hold_against_llama_cpp(paths.embedded_model(), MANY, dry=False)
    assert all(-0.05 <= error <= 0.10 for error in errors), errors


CACHES: list[tuple[Cell, str]] = [
    ((8192, 4, unified, 512, 512, type_k, type_v), flash_attn)
    for unified in (True, False)
    for type_k, type_v, flash_attn in (
        *((kind, kind, "on") for kind in GGML_TYPES),
        *((kind, "f16", "off") for kind in GGML_TYPES),
        ("q8_0", "q4_0", "auto"),
    )
]


CACHE_NAMES = [f"{cell[2]}-{cell[5]}-{cell[6]}-{flash_attn}" for cell, flash_attn in CACHES]


@pytest.fixture(scope="module")
def caches() -> list[Counter[str]]:
    """What llama.cpp takes for each of them, all in one process."""
    cells = [native_cell(cell, flash_attn=flash_attn) for cell, flash_attn in CACHES]
    return llama_process.sizes(paths.embedded_model(), cells)


@pytest.mark.parametrize("which", range(len(CACHES)), ids=CACHE_NAMES)
def test_every_kind_of_cache_as_llama_cpp_has_it(which: int, caches: list[Counter[str]]) -> None:
    (cell, flash_attn), real = CACHES[which], caches[which]
    part = estimated(read_header(paths.embedded_model()), cell, flash_attn=flash_attn).cpu
    assert part.cache == pytest.approx(real["cache"], rel=0.001)
    assert 0.95 <= part.compute / real["compute"] <= 1.20
    total = real["model"] + real["cache"] + real["compute"] + real["output"]
    assert 0.95 <= (part.total - part.process) / total <= 1.10


# In the shapes of common models; the weights are a hole in the file.
ARCHITECTURES: dict[str, Callable[[], Gguf]] = {
    "llama 3 8B": lambda: llama(
        n_layer=32, n_embd=4096, n_head=32, n_head_kv=8, n_ff=14336, n_vocab=128_256, kind="Q4_K"
    ),
    "llama 3.2 1B, tied": lambda: llama(
        n_layer=16, n_embd=2048, n_head=32, n_head_kv=8, n_ff=8192, n_vocab=128_256, kind="Q8_0",
        tied=True,
    ),
    "heads by layer": lambda: deci(
        [16, 8, 4, 2] * 7, n_embd=1024, n_head=16, n_ff=4096, n_vocab=32_000, kind="Q8_0"
    ),
    "qwen 3 0.6B": lambda: qwen3(
        head_dim=128, n_layer=28, n_embd=1024, n_head=16, n_ff=3072, n_vocab=151_936, kind="Q8_0"
    ),
    "gemma 3 4B": lambda: gemma3(
        window=1024, head_dim=256, n_layer=34, n_embd=2560, n_head=8, n_ff=10_240,
        n_vocab=262_144, kind="Q4_0",
    ),
    "qwen 3 30B of experts": lambda: qwen3moe(
        n_expert=128, n_used=8, n_ff=768, head_dim=128, n_layer=48, n_embd=2048, n_head=32,
        n_vocab=151_936, kind="Q4_K",
    ),
    "mamba 370M": lambda: mamba(n_layer=48, n_embd=1024, n_vocab=50_280),
    "granite hybrid": lambda: granitehybrid(
        [0, 0, 2, 0] * 10, n_embd=1024, n_head=16, n_ff=4096, state=128
    ),
}  # fmt: skip


@cache
def architecture(name: str) -> Gguf:
    """One of them; its vocabulary takes a while to make."""
    return ARCHITECTURES[name]()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_other_architectures_as_llama_cpp_has_them(name: str, tmp_path: Path) -> None:
    file = architecture(name).save(tmp_path / "model.gguf")
    cells = FEW if name != "mamba 370M" else [(*cell[:5], "f16", "f16") for cell in FEW]
    errors = hold_against_llama_cpp(file, cells, dry=True)
    assert all(-0.05 <= error <= 0.10 for error in errors), errors


@pytest.mark.parametrize("name", ["llama 3 8B", "heads by layer", "gemma 3 4B"])
def test_without_flash_attention(name: str, tmp_path: Path) -> None:
    file = architecture(name).save(tmp_path / "model.gguf")
    cell = FEW[0]
    (real,) = llama_process.sizes(file, [native_cell(cell, flash_attn="off")], dry=True)
    part = estimated(read_header(file), cell, flash_attn="off").cpu
    assert part.cache == pytest.approx(real["cache"], rel=0.001)
    assert 0.95 <= part.compute / real["compute"] <= 1.20


@pytest.mark.parametrize("swa_full", [False, True])
def test_windows(tmp_path: Path, swa_full: bool) -> None:
    file = architecture("gemma 3 4B").save(tmp_path / "model.gguf")
    cells = [(8192, 4, True, 512, 512, "f16", "f16"), (8192, 4, False, 512, 512, "q8_0", "q8_0")]
    asked = [native_cell(cell, swa_full=swa_full) for cell in cells]
    for cell, real in zip(cells, llama_process.sizes(file, asked, dry=True), strict=True):
        part = estimated(read_header(file), cell, swa_full=swa_full).cpu
        assert part.cache == pytest.approx(real["cache"], rel=0.001), cell


@pytest.mark.parametrize("unified", [True, False])
def test_gemma_as_llama_cpp_has_it(gemma: Path, unified: bool) -> None:
    """Its 32,768 tokens take less than a quarter of what they would without the window."""
    cell = (32_768, 4, unified, 512, 512, "f16", "f16")
    (error,) = hold_against_llama_cpp(gemma, [cell], dry=False)
    assert -0.05 <= error <= 0.10
    header = read_header(gemma)
    short, full = (estimated(header, cell, swa_full=full).cpu.cache for full in (False, True))
    assert short * 4 < full


# -- arithmetic -----------------------------------------------------------------------------------


def header_of(tmp_path: Path, file: Gguf) -> GgufHeader:
    return read_header(file.save(tmp_path / "model.gguf"))


def test_cache_by_hand(tmp_path: Path) -> None:
    """Two layers of 16 values a head: tokens × (keys + values) × 2 bytes."""
    cell = (1000, 3, False, 64, 64, "f16", "f16")
    plain = header_of(tmp_path, llama(n_head=4, n_head_kv=2))
    assert estimated(plain, cell).cpu.cache == 1024 * 3 * 2 * (2 * 16 + 2 * 16) * 2
    shared = (1000, 3, True, 64, 64, "f16", "f16")
    assert estimated(plain, shared).cpu.cache == 1024 * 2 * (2 * 16 + 2 * 16) * 2
    by_layer = header_of(tmp_path, deci([4, 1]))
    assert estimated(by_layer, shared).cpu.cache == 1024 * (4 + 1) * 2 * 16 * 2
    blocks = (1000, 3, True, 64, 64, "q8_0", "q4_0")
    assert estimated(plain, blocks).cpu.cache == 1024 * 2 * (34 + 18)
    trained = (0, 1, True, 64, 64, "f16", "f16")
    assert estimated(plain, trained).cpu.cache == 256 * 2 * (2 * 16 + 2 * 16) * 2


def test_recurrent_layers_cost_by_sequence_and_not_by_token(tmp_path: Path) -> None:
    plain = header_of(tmp_path, mamba(n_layer=3, n_embd=64, state=16))
    short = (256, 2, True, 64, 64, "f16", "f16")
    long = (65536, 2, True, 64, 64, "f16", "f16")
    assert estimated(plain, short).cpu.cache == 3 * 2 * (3 * 128 + 16 * 128) * 4
    assert estimated(plain, short) == estimated(plain, long)


def test_values_that_are_part_of_the_keys(tmp_path: Path) -> None:
    latent = [u32(f"deepseek2.attention.{name}_length_mla", 24) for name in ("key", "value")]
    plain = header_of(tmp_path, llama(arch="deepseek2", n_head_kv=1, extra=latent))
    cell = (256, 1, True, 64, 64, "f16", "f16")
    assert estimated(plain, cell).cpu.cache == 256 * 2 * 16 * 2


CELL: Cell = (2048, 1, True, 512, 512, "f16", "f16")


def test_layers_move_to_the_gpu(tmp_path: Path) -> None:
    header = header_of(tmp_path, llama(n_layer=4, n_embd=256, n_ff=512, kind="Q8_0"))
    none, some, every = (estimated(header, CELL, n_gpu_layers=n) for n in (0, 3, 5))
    assert none.gpu == MemoryPart()
    assert 0 < some.gpu.weights < every.gpu.weights
    assert some.gpu.cache == none.cpu.cache // 2 == some.cpu.cache
    assert (every.gpu.cache, every.cpu.cache) == (none.cpu.cache, 0)
    weights = sum(tensor.size for tensor in header.tensors)
    for split in (none, some, every):
        assert split.cpu.weights + split.gpu.weights == weights
    embeddings = next(t for t in header.tensors if t.name == "token_embd.weight")
    assert every.cpu.weights == embeddings.size
    assert every.cpu.compute < none.cpu.compute
    assert estimated(header, CELL, n_gpu_layers=99) == every


def test_tied_embeddings_are_on_both_sides(tmp_path: Path) -> None:
    header = header_of(tmp_path, llama(n_layer=4, n_embd=256, kind="Q8_0", tied=True))
    every = estimated(header, CELL, n_gpu_layers=5)
    embeddings = next(t for t in header.tensors if t.name == "token_embd.weight")
    weights = sum(tensor.size for tensor in header.tensors)
    assert every.cpu.weights + every.gpu.weights == weights + embeddings.size


@pytest.mark.parametrize("unified", [True, False])
def test_windows_keep_a_long_cache_short(tmp_path: Path, unified: bool) -> None:
    """With the shape of Gemma 3 4B: five layers of six look back 1,024 tokens."""
    shape = gemma3(
        window=1024, n_layer=34, n_embd=2560, n_head=8, head_dim=256, n_ff=10240, n_ctx=131_072
    )
    file = shape.with_pair(u32("gemma3.attention.head_count_kv", 4)).save(tmp_path / "4b.gguf")
    header = read_header(file)
    cell: Cell = (131_072, 4, unified, 2048, 512, "f16", "f16")
    full = estimated(header, cell, swa_full=True).cpu.cache
    assert full == 34 * 131_072 * (1 if unified else 4) * 2 * 4 * 256 * 2
    assert estimated(header, cell).cpu.cache <= full / 5
