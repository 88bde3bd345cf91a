"""A model of random weights, small, and made of the types that another one is made of.

It is a LLaMA of two layers that llama.cpp loads as it does any other: what reads, repacks and
multiplies weights, and what attends to the KV cache, is the very code that the other one will run.
"""

import ctypes
import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from appliance.tuning.variants.protocol import Need
from appliance.worker.runners.llama_cpp.native.bindings import native

N_LAYERS = 2
N_EMBD = 256
"""The longest block of a type, so that every type's rows fit."""
N_FF = 512
N_VOCAB = 256
N_CTX = 256
N_EXPERTS, N_EXPERTS_USED = 4, 2
ALIGNMENT = 32
UINT32, FLOAT32, STRING = 4, 6, 8
"""GGUF's numbers for types of values."""
LARGEST_HEAD = 512
F32 = 0
NEVER_WEIGHTS = {"I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K"}
"""Types that llama.cpp computes with, and makes no weights of."""

Matrix = npt.NDArray[np.float32]


def write_model(file: Path, need: Need) -> None:
    """Writes it; the same bytes each time.

    Raises:
        OSError: it cannot be written.
    """
    tensors = list(_tensors(need))
    head = _head_size(need)
    n_head = _heads(head)
    keys: list[tuple[str, int, int | float | str]] = [
        ("general.architecture", STRING, "llama"),
        ("llama.block_count", UINT32, N_LAYERS),
        ("llama.context_length", UINT32, N_CTX),
        ("llama.embedding_length", UINT32, N_EMBD),
        ("llama.feed_forward_length", UINT32, N_FF),
        ("llama.attention.head_count", UINT32, n_head),
        ("llama.attention.head_count_kv", UINT32, n_head // 2),
        ("llama.attention.key_length", UINT32, head),
        ("llama.attention.value_length", UINT32, head),
        ("llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5),
        ("llama.rope.dimension_count", UINT32, head),
        ("llama.vocab_size", UINT32, N_VOCAB),
        ("tokenizer.ggml.model", STRING, "no_vocab"),
    ]
    if need.experts:
        keys.append(("llama.expert_count", UINT32, N_EXPERTS))
        keys.append(("llama.expert_used_count", UINT32, N_EXPERTS_USED))
    out = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)))
    for key, value_type, value in keys:
        out += _text(key) + struct.pack("<I", value_type)
        if isinstance(value, str):
            out += _text(value)
        else:
            out += struct.pack("<f" if value_type == FLOAT32 else "<I", value)
    data = bytearray()
    for name, values, kind in tensors:
        dims = values.shape[::-1]
        out += _text(name) + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
        out += struct.pack("<IQ", kind, len(data))
        data += _quantized(values, kind)
        data += bytes(-len(data) % ALIGNMENT)
    out += bytes(-len(out) % ALIGNMENT)
    file.write_bytes(out + data)


def _tensors(need: Need) -> Iterator[tuple[str, Matrix, int]]:
    """Names, values and types; every type of the other model is that of several matrices."""
    dice = np.random.default_rng(1)
    types = [number for name, number in need.types.items() if name not in NEVER_WEIGHTS] or [F32]
    turn = 0

    def matrix(name: str, *shape: int) -> tuple[str, Matrix, int]:
        nonlocal turn
        values = dice.standard_normal(shape, np.float32) / math.sqrt(shape[-1])
        turn += 1
        return f"{name}.weight", values, types[turn % len(types)]

    def norm(name: str) -> tuple[str, Matrix, int]:
        return f"{name}.weight", np.ones(N_EMBD, np.float32), F32

    head = _head_size(need)
    n_head = _heads(head)
    yield matrix("token_embd", N_VOCAB, N_EMBD)
    for layer in range(N_LAYERS):
        block = f"blk.{layer}"
        yield norm(f"{block}.attn_norm")
        yield matrix(f"{block}.attn_q", n_head * head, N_EMBD)
        yield matrix(f"{block}.attn_k", n_head // 2 * head, N_EMBD)
        yield matrix(f"{block}.attn_v", n_head // 2 * head, N_EMBD)
        yield matrix(f"{block}.attn_output", N_EMBD, n_head * head)
        yield norm(f"{block}.ffn_norm")
        some: tuple[int, ...] = ()
        end = ""
        if need.experts:
            gate = dice.standard_normal((N_EXPERTS, N_EMBD), np.float32)
            yield f"{block}.ffn_gate_inp.weight", gate, F32
            some, end = (N_EXPERTS,), "_exps"
        yield matrix(f"{block}.ffn_gate{end}", *some, N_FF, N_EMBD)
        yield matrix(f"{block}.ffn_up{end}", *some, N_FF, N_EMBD)
        yield matrix(f"{block}.ffn_down{end}", *some, N_EMBD, N_FF)
        turn += 1  # or else one type would have the same matrices in each layer
    yield norm("output_norm")
    yield matrix("output", N_VOCAB, N_EMBD)


def _head_size(need: Need) -> int:
    size = need.head_size
    return size if 0 < size <= LARGEST_HEAD and size % 2 == 0 else 64


def _heads(head: int) -> int:
    """As many, at least two, as fill whole blocks of every type."""
    fill = N_EMBD // math.gcd(head, N_EMBD)
    return fill if fill % 2 == 0 else 2 * fill


def _quantized(values: Matrix, kind: int) -> bytes:
    if kind == F32:
        return values.tobytes()
    floats = ctypes.POINTER(ctypes.c_float)
    n_per_row = values.shape[-1]
    n_rows = values.size // n_per_row
    row_size = native("ggml_row_size", ctypes.c_size_t, ctypes.c_int, ctypes.c_int64)
    quantize = native(
        "ggml_quantize_chunk",
        ctypes.c_size_t,
        *(ctypes.c_int, floats, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64),
        floats,
    )
    out = ctypes.create_string_buffer(row_size(kind, n_per_row) * n_rows)
    alike = np.ones(n_per_row, np.float32)
    quantize(
        *(kind, values.ctypes.data_as(floats), out, 0, n_rows, n_per_row),
        alike.ctypes.data_as(floats),
    )
    return out.raw


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()
