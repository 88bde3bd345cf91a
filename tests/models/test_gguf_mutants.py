"""Damaged files: only `BadModelFile` is raised, and accepted files do not crash llama.cpp."""

import itertools
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config import paths
from appliance.config.context import ContextSettings
from appliance.errors import BadModelFile
from appliance.models.gguf.header import read_header
from appliance.models.memory.estimate import estimate
from tests.models import llama_process
from tests.models.gguf_writer import llama
from tests.models.mutants import mutants

SMALL = llama(n_embd=32, n_head=2, n_head_kv=1, n_ff=32, n_vocab=260)
VALID = SMALL.encoded()
HEADER = len(SMALL.header())
SETTINGS = ContextSettings(n_ctx=512, n_seq_max=2, kv_unified=True, n_batch=64, n_ubatch=64)


def passes(file: Path) -> bool:
    """Whether the check accepts the file, and it can be estimated. Any error but the check's
    own fails the test."""
    try:
        header = read_header(file)
    except BadModelFile:
        return False
    needed = estimate(header, SETTINGS, n_gpu_layers=1)
    assert needed.cpu.total > 0 <= needed.gpu.total
    return True


def test_embedded_model_cut_at_200_places(tmp_path: Path) -> None:
    whole = paths.embedded_model()
    header = read_header(whole)
    file = tmp_path / "model.gguf"
    with whole.open("rb") as source:
        file.write_bytes(source.read(header.data_offset))
    last = header.tensors[-1]
    end = header.data_offset + last.offset + last.size
    os.truncate(file, end)  # the weights are a hole: only the header is read
    assert passes(file)
    in_data = [header.data_offset + (end - header.data_offset) * n // 100 for n in range(100)]
    in_header = [header.data_offset * n // 100 + n for n in range(99)]
    for size in sorted([*in_data, *in_header, end - 1], reverse=True):
        os.truncate(file, size)
        assert not passes(file), size


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "set", "insert", "cut"]),
        st.one_of(st.integers(0, 300), st.integers(0, HEADER), st.integers(0, len(VALID) - 1)),
        st.one_of(
            st.binary(min_size=1, max_size=12),
            st.integers(0, 2**64 - 1).map(lambda number: number.to_bytes(8, "little")),
        ),
    ),
    min_size=1,
    max_size=6,
)


def edited(edits: list[tuple[str, int, bytes]]) -> bytes:
    data = bytearray(VALID)
    for how, at, what in edits:
        match how:
            case "flip" if at < len(data):
                data[at] ^= 1 << what[0] % 8
            case "set":
                data[at : at + len(what)] = what
            case "insert":
                data[at:at] = what
            case _:
                del data[at : at + len(what)]
    return bytes(data)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutants") / "model.gguf"


@settings(max_examples=400, deadline=None)
@given(edits=EDITS)
def test_edited_bytes(scratch: Path, edits: list[tuple[str, int, bytes]]) -> None:
    scratch.write_bytes(edited(edits))
    tracemalloc.start()
    try:
        passes(scratch)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def survivors(folder: Path, seed: int, count: int) -> list[Path]:
    """That many mutants that the check accepts."""
    found: list[Path] = []
    for number, data in enumerate(mutants(seed)):
        file = folder / f"{seed}-{number}.gguf"
        file.write_bytes(data)
        if passes(file):
            found.append(file)
        else:
            file.unlink()
        if len(found) == count:
            return found
    raise AssertionError


def deaths(folder: Path, seed: int, count: int) -> dict[Path, str]:
    verdicts = llama_process.tried(survivors(folder, seed, count))
    # Some must load in llama.cpp, or only its error handling was tested.
    assert list(verdicts.values()).count("loaded") > count // 10
    return {file: verdict for file, verdict in verdicts.items() if verdict.startswith("died")}


def test_accepted_files_do_not_end_the_worker(tmp_path: Path) -> None:
    assert deaths(tmp_path, seed=1, count=60) == {}


@pytest.mark.soak
def test_2000_accepted_files_do_not_end_the_worker(tmp_path: Path) -> None:
    assert deaths(tmp_path, seed=2, count=2000) == {}


@pytest.mark.soak
def test_30_000_mutants(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    for data in itertools.islice(mutants(seed=3), 30_000):
        file.write_bytes(data)
        passes(file)
