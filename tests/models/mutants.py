"""Mutants: broken variants of valid GGUF files."""

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.models.architectures import deci, gemma3, granitehybrid, mamba, qwen3, qwen3moe
from tests.models.gguf_writer import (
    ARRAY,
    FORMATS,
    STRING,
    TYPES,
    Gguf,
    Pair,
    bpe_vocabulary,
    llama,
    string,
)

NUMBERS = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    16,
    31,
    32,
    33,
    63,
    64,
    65,
    96,
    127,
    128,
    255,
    256,
    257,
    511,
    512,
]
NUMBERS += [513, 1024, 4096, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1]
NUMBERS += [2**63, 2**64 - 1, 2**64 - 16]
FLOATS = [0.0, -1.0, 1e-30, 1e30, float("inf"), float("nan")]
TEXTS = ["", "llama", "gpt2", "bert", "t5", "rwkv", "mamba", "yarn", "none", "a\0b", "x" * 5000]
KEYS = """
rope.dimension_count rope.freq_base rope.scaling.type rope.scaling.factor expert_count
expert_used_count expert_group_count attention.key_length attention.value_length
attention.sliding_window attention.sliding_window_pattern attention.key_length_mla
attention.value_length_mla nextn_predict_layers pooling_type vocab_size ssm.conv_kernel
ssm.inner_size ssm.state_size ssm.time_step_rank ssm.group_count embedding_length_out
attention.causal attention.head_count_kv feed_forward_length leading_dense_block_count
attention.layer_norm_epsilon context_length rope.scaling.original_context_length
"""


def originals() -> list[Gguf]:
    """One small file of each kind."""
    return [
        llama(n_embd=32, n_head=2, n_head_kv=1, n_ff=64),
        llama(n_embd=32, n_head=4, n_head_kv=2, n_ff=64, kind="Q8_0", tied=True),
        llama(n_embd=32, n_head=2, n_head_kv=1, n_ff=64, vocabulary=bpe_vocabulary),
        deci([4, 2], n_embd=32, n_ff=64),
        qwen3(n_embd=32, head_dim=16, n_ff=64),
        gemma3(n_embd=32, head_dim=16, n_ff=64, n_layer=6, window=16),
        qwen3moe(n_embd=32, head_dim=16, n_ff=32, n_expert=4),
        mamba(n_embd=32, state=8),
        granitehybrid([0, 2], n_embd=32, n_ff=64, state=8),
    ]


def mutants(seed: int) -> Iterator[bytes]:
    """An endless sequence; the same for the same seed."""
    draw = random.Random(seed)
    files = originals()
    while True:
        file = draw.choice(files)
        for _ in range(draw.choice([0, 1, 1, 1, 2, 3])):
            file = draw.choice(_CHANGES)(file, draw)
        data = bytearray(_encoded(file))
        for _ in range(draw.choice([0, 0, 0, 1, 2, 8])):
            _spoil(data, draw)
        yield bytes(data)


def _encoded(file: Gguf) -> bytes:
    """The data are zeros, but for a few bytes: the header is under test."""
    data = bytearray(file.encoded())
    start = len(file.header())
    data[start::7] = b"\x3c" * len(data[start::7])
    return bytes(data)


def _spoil(data: bytearray, draw: random.Random) -> None:
    """One change of bytes, mostly in the header."""
    end = min(len(data), draw.choice([400, 12_000, len(data)]))
    at = draw.randrange(end)
    match draw.randrange(6):
        case 0 | 1:
            data[at] ^= 1 << draw.randrange(8)
        case 2:
            data[at] = draw.randrange(256)
        case 3:
            width = draw.choice("IQ")
            number = draw.choice(NUMBERS) % (2**32 if width == "I" else 2**64)
            packed = struct.pack("<" + width, number)
            data[at : at + len(packed)] = packed
        case 4:
            data[at:at] = draw.randbytes(draw.choice([1, 4, 8]))
        case _:
            del data[at : at + draw.choice([1, 4, 8])]


# -- changes that leave a well-formed file --------------------------------------------------------


def _arch(file: Gguf) -> str:
    return file.pairs[0].value[8:].decode()


def _other_value(file: Gguf, draw: random.Random) -> Gguf:
    pair = draw.choice(file.pairs)
    return file.with_pair(replace(pair, value=_other(pair, draw)))


def _other(pair: Pair, draw: random.Random) -> bytes:
    if pair.kind == STRING:
        return string(draw.choice(TEXTS))
    if pair.kind == ARRAY:
        kind, count = struct.unpack_from("<IQ", pair.value)
        body = bytearray(pair.value[12:])
        if kind == STRING:
            cut = draw.randrange(count + 1)
            texts = [draw.choice(["", "a", "<0x0A>", "▁", f"t{n}"]) for n in range(cut)]
            return struct.pack("<IQ", STRING, cut) + b"".join(map(string, texts))
        for _ in range(4):
            at = draw.randrange(max(1, len(body) // 4)) * 4
            body[at : at + 4] = struct.pack("<I", draw.choice(NUMBERS) % 2**32)
        return struct.pack("<IQ", kind, len(body) // 4) + body
    return _number(pair.kind, draw)


def _number(kind: int, draw: random.Random) -> bytes:
    letter = FORMATS[kind]
    if letter in "fd":
        return struct.pack("<" + letter, draw.choice(FLOATS))
    if letter == "?":
        return draw.choice([b"\0", b"\1"])
    size = struct.calcsize(letter)
    return struct.pack("<Q", draw.choice(NUMBERS) % 2**64)[:size]


def _other_kind(file: Gguf, draw: random.Random) -> Gguf:
    pair = draw.choice(file.pairs)
    kind = draw.choice([*FORMATS])
    return file.with_pair(replace(pair, kind=kind, value=_number(kind, draw)))


def _new_pair(file: Gguf, draw: random.Random) -> Gguf:
    key = f"{_arch(file)}.{draw.choice(KEYS.split())}".encode()
    kind = draw.choice([4, 4, 4, 5, 6, 7, STRING])
    value = string(draw.choice(TEXTS)) if kind == STRING else _number(kind, draw)
    return file.with_pair(Pair(key, kind, value))


def _without_pair(file: Gguf, draw: random.Random) -> Gguf:
    gone = draw.choice(file.pairs[1:])
    return replace(file, pairs=tuple(pair for pair in file.pairs if pair is not gone))


def _other_tensor(file: Gguf, draw: random.Random) -> Gguf:
    tensors = list(file.tensors)
    at = draw.randrange(len(tensors))
    tensor = tensors[at]
    match draw.randrange(5):
        case 0:
            del tensors[at]
        case 1:
            tensors[at] = replace(tensor, kind=draw.choice([*TYPES]))
        case 2:
            tensors[at] = replace(tensor, dims=tensor.dims[::-1])
        case 3:
            dim = draw.choice([1, 2, 16, 31, 32, 64, 96, 256, 288])
            tensors[at] = replace(tensor, dims=(*tensor.dims[:-1], dim))
        case _:
            other = draw.randrange(len(tensors))
            tensors[at], tensors[other] = tensors[other], tensors[at]
    return replace(file, tensors=tuple(tensors))


def _other_arch(file: Gguf, draw: random.Random) -> Gguf:
    old, new = _arch(file), draw.choice(["llama", "qwen2", "gemma", "gemma2", "phi3", "bert", "t5"])
    pairs = tuple(
        replace(pair, key=pair.key.replace(old.encode(), new.encode(), 1)) for pair in file.pairs
    )
    return replace(file, pairs=(replace(pairs[0], value=string(new)), *pairs[1:]))


_CHANGES: list[Callable[[Gguf, random.Random], Gguf]] = [
    _other_value,
    _other_value,
    _other_value,
    _other_kind,
    _new_pair,
    _new_pair,
    _new_pair,
    _without_pair,
    _other_tensor,
    _other_tensor,
    _other_arch,
]
