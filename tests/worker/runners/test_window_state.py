"""Windows put together of saved ones: each cell's data stays with its position."""

import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.worker.runners.base import Batch
from appliance.worker.runners.llama_cpp.window_state import readable, window_at
from tests.engine.conftest import load_of
from tests.models.architectures import gemma3

KEY, VALUE, LAYERS = 6, 4, 2
"""Bytes of a cell in a layer; values lie across in two rows of half as many."""


def datum(kind: int, layer: int, position: int, size: int) -> bytes:
    return random.Random(f"{kind} {layer} {position}").randbytes(size)


def state(
    positions: list[int], *, across: bool, slot: int = 0, streams: tuple[int, int] = (0, 0)
) -> bytes:
    """As llama.cpp writes it."""
    out = struct.pack("=Ii", 0x67677371, slot) + struct.pack("=I", sum(streams) + 1)
    out += bytes(4 * streams[0]) + struct.pack("=I", len(positions))
    for position in positions:
        out += struct.pack("=iIi", position, 1, slot)
    out += struct.pack("=II", across, LAYERS)
    for layer in range(LAYERS):
        out += struct.pack("=iQ", 1, KEY)
        out += b"".join(datum(0, layer, position, KEY) for position in positions)
    for layer in range(LAYERS):
        values = [datum(1, layer, position, VALUE) for position in positions]
        if across:
            out += struct.pack("=iII", 1, VALUE // 2, 2)
            out += b"".join(value[: VALUE // 2] for value in values)
            out += b"".join(value[VALUE // 2 :] for value in values)
        else:
            out += struct.pack("=iQ", 1, VALUE) + b"".join(values)
    return out + bytes(4 * streams[1])


@pytest.mark.parametrize("across", [False, True])
@given(st.integers(1, 60), st.integers(0, 12), st.integers(0, 12), st.randoms(), st.booleans())
def test_of_two_that_overlap_every_place_between_is_restored(
    across: bool, early: int, further: int, back: int, chance: random.Random, behind: bool
) -> None:
    window = 12
    late, length = early + further, early + further - min(back, further)
    ends = [early, late]
    streams = (1, 2) if behind else (0, 0)
    states = []
    for end in ends:  # cells lie as they come
        positions = list(range(max(0, end - window), end))
        chance.shuffle(positions)
        states.append(state(positions, across=across, streams=streams))
    wanted = list(range(max(0, length - window + 1), length))
    assert window_at(states, length, window) == state(wanted, across=across, streams=streams)


def test_what_has_a_gap_is_not_restored() -> None:
    states = [state(list(range(5)), across=False), state(list(range(30, 42)), across=False)]
    assert window_at(states, 20, 12) is None
    assert window_at(states[1:], 41, 12) is not None
    assert window_at(states[1:], 40, 12) is None


def test_states_of_two_forms_do_not_mix() -> None:
    states = [state(list(range(5)), across=False), state(list(range(12)), across=True)]
    assert window_at(states, 8, 12) is None


@given(st.integers(0, 400), st.integers(0, 255), st.booleans(), st.booleans())
def test_what_reads_otherwise_is_none(at: int, byte: int, across: bool, cut: bool) -> None:
    """Whatever is there, nothing is read that is not."""
    whole = bytearray(state(list(range(12)), across=across))
    at = min(at, len(whole) - 1)
    whole[at] = byte
    damaged = bytes(whole[:at] if cut else whole)
    assert not (cut and readable(damaged))
    found = window_at([damaged], 12, 12)
    assert found is None or len(found) <= len(whole)
    assert not readable(bytes(whole) + b"more")


def compare(file: Path) -> None:
    """In a process that may load llama.cpp: what is put together of two states is what a state in
    between has, to the last bit."""
    from appliance.worker.runners.llama_cpp.runner import LlamaRunner

    short = {"n_ctx": 1024, "n_seq_max": 2, "n_batch": 64, "n_ubatch": 64, "n_threads": 1}
    for attention in ("on", "off"):
        for unified in (True, False):
            load = load_of(str(file), flash_attn=attention, kv_unified=unified, **short)
            runner = LlamaRunner(load, lambda *_: None)
            kept, at = {}, 0
            for end in (64, 128, 192, 256, 320, 384, 400, 448):
                count = end - at
                ids = [259 + position * position % 29 for position in range(at, end)]
                runner.decode(Batch(ids, list(range(at, end)), [1] * count, [count - 1]))
                kept[end], at = runner.checkpoint(1), end
            wanted = window_at([kept[400]], 400, 64)
            assert wanted
            assert window_at([kept[384], kept[448]], 400, 64) == wanted
            assert window_at([kept[448]], 400, 64) is None
            runner.close()


def test_what_is_put_together_is_what_llama_cpp_had(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(gemma3(window=64, n_layer=6, n_ctx=1024).encoded(seed=9))
    code = f"import pathlib; from {__name__} import compare; compare(pathlib.Path({str(file)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
