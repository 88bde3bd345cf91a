"""Writes GGUF files for tests: valid ones, and any kind of invalid ones.

Everything is bytes in memory until `save`, which leaves tensor data as a hole (sparse), so that a
model of gigabytes takes a few kilobytes.
"""

import random
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
FORMATS = dict(zip((U8, I8, U16, I16, U32, I32, F32, BOOL), "BbHhIif?", strict=True))
FORMATS |= {U64: "Q", I64: "q", F64: "d"}

# Name of a tensor type: its number, values in a block, bytes of a block.
TYPES = {
    "F32": (0, 1, 4),
    "F16": (1, 1, 2),
    "Q4_0": (2, 32, 18),
    "Q8_0": (8, 32, 34),
    "Q4_K": (12, 256, 144),
    "I8": (24, 1, 1),
    "I64": (27, 1, 8),
}


@dataclass(frozen=True)
class Pair:
    """One key with its value, both as encoded in the file."""

    key: bytes
    kind: int
    value: bytes
    key_length: int | None = None
    """The key's length as written to the file; None: the real length."""

    def encoded(self) -> bytes:
        length = len(self.key) if self.key_length is None else self.key_length
        return struct.pack("<Q", length) + self.key + struct.pack("<I", self.kind) + self.value


@dataclass(frozen=True)
class Tensor:
    """One tensor's entry; `None`: derived from the others."""

    name: str
    dims: tuple[int, ...]
    kind: str | int = "F32"
    offset: int | None = None
    n_dims: int | None = None

    def size(self) -> int:
        """Bytes of the tensor, for the types in `TYPES`."""
        assert isinstance(self.kind, str)
        _, values, size = TYPES[self.kind]
        count = 1
        for dim in self.dims:
            count *= dim
        return count * size // values

    def encoded(self, offset: int) -> bytes:
        name = self.name.encode()
        number = TYPES[self.kind][0] if isinstance(self.kind, str) else self.kind
        return (
            struct.pack("<Q", len(name))
            + name
            + struct.pack("<I", len(self.dims) if self.n_dims is None else self.n_dims)
            + b"".join(struct.pack("<Q", dim % 2**64) for dim in self.dims)
            + struct.pack("<IQ", number, offset if self.offset is None else self.offset)
        )


def scalar(key: str, kind: int, value: float) -> Pair:
    return Pair(key.encode(), kind, struct.pack("<" + FORMATS[kind], value))


def u32(key: str, value: int) -> Pair:
    return scalar(key, U32, value)


def text(key: str, value: str) -> Pair:
    return Pair(key.encode(), STRING, string(value))


def array(key: str, kind: int, values: Sequence[float], count: int | None = None) -> Pair:
    packed = struct.pack(f"<{len(values)}{FORMATS[kind]}", *values)
    return Pair(key.encode(), ARRAY, _array_head(kind, len(values), count) + packed)


def strings(key: str, values: Sequence[str], count: int | None = None) -> Pair:
    packed = b"".join(map(string, values))
    return Pair(key.encode(), ARRAY, _array_head(STRING, len(values), count) + packed)


def string(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _array_head(kind: int, length: int, count: int | None) -> bytes:
    return struct.pack("<IQ", kind, length if count is None else count)


@dataclass(frozen=True)
class Gguf:
    """A file's contents: change them with `dataclasses.replace`."""

    pairs: tuple[Pair, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    magic: bytes = b"GGUF"
    version: int = 3
    n_tensors: int | None = None
    n_pairs: int | None = None
    alignment: int = 32
    """The alignment of offsets; `general.alignment` must be added separately."""

    def header(self) -> bytes:
        """Everything before the tensor data, padding included."""
        parts = [
            self.magic,
            struct.pack("<I", self.version),
            struct.pack("<Q", len(self.tensors) if self.n_tensors is None else self.n_tensors),
            struct.pack("<Q", len(self.pairs) if self.n_pairs is None else self.n_pairs),
            *(pair.encoded() for pair in self.pairs),
        ]
        offset = 0
        for tensor in self.tensors:
            parts.append(tensor.encoded(offset))
            if isinstance(tensor.kind, str):
                offset = self._padded(offset + tensor.size())
        head = b"".join(parts)
        return head.ljust(self._padded(len(head)), b"\0")

    def data_size(self) -> int:
        """Bytes of tensor data, the last tensor's padding included."""
        return sum(self._padded(tensor.size()) for tensor in self.tensors)

    def encoded(self, seed: int | None = None) -> bytes:
        """The whole file. Data are zeros, or small numbers drawn with `seed` where it is F32; what
        states decay with is negative, or they would grow without an end."""
        head = self.header()
        if seed is None:
            return head + bytes(self.data_size())
        draw = random.Random(seed)
        parts = [head]
        for tensor in self.tensors:
            size = self._padded(tensor.size())
            if tensor.kind == "F32":
                values = [draw.uniform(-0.1, 0.1) for _ in range(size // 4)]
                if tensor.name.endswith("ssm_a"):
                    values = [-abs(value) for value in values]
                parts.append(struct.pack(f"<{size // 4}f", *values))
            else:
                parts.append(bytes(size))
        return b"".join(parts)

    def save(self, path: Path) -> Path:
        """Write the header; the data are a hole."""
        with path.open("wb") as file:
            file.write(self.header())
            file.truncate(file.tell() + self.data_size())
        return path

    def with_pair(self, pair: Pair) -> "Gguf":
        """The same with `pair` in place of the one of that key, or at the end."""
        if not any(old.key == pair.key for old in self.pairs):
            return replace(self, pairs=(*self.pairs, pair))
        return replace(self, pairs=tuple(pair if p.key == pair.key else p for p in self.pairs))

    def _padded(self, size: int) -> int:
        return -(-size // self.alignment) * self.alignment


def spm_vocabulary(size: int = 288, *, chats: bool = False) -> list[Pair]:
    """A SentencePiece vocabulary: three control tokens, the bytes, and words.

    `chats`: those that begin and end messages are tokens, and a blank is.
    """
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [2, 3, 3, *[6] * 256, *[1] * (size - 259)]
    if chats:
        tokens += ["<|im_start|>", "<|im_end|>", "▁"]
        kinds[259:261] = [3, 3]
    tokens += [f"▁word{n}" for n in range(size - len(tokens))]
    return [
        text("tokenizer.ggml.model", "llama"),
        strings("tokenizer.ggml.tokens", tokens),
        array("tokenizer.ggml.scores", F32, [-float(n) for n in range(size)]),
        array("tokenizer.ggml.token_type", I32, kinds),
        u32("tokenizer.ggml.bos_token_id", 1),
        u32("tokenizer.ggml.eos_token_id", 2),
    ]


def bpe_vocabulary(size: int = 288) -> list[Pair]:
    """A BPE vocabulary: pieces of text and how to merge them."""
    letters = "ĠĊabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,"
    pairs = [(left, right) for left in letters[2:14] for right in letters[2:26]]
    tokens = ["<|im_start|>", "<|im_end|>", *letters]
    merges = pairs[: size - len(tokens)]
    tokens += ["".join(pair) for pair in merges]
    return [
        text("tokenizer.ggml.model", "gpt2"),
        text("tokenizer.ggml.pre", "default"),
        strings("tokenizer.ggml.tokens", tokens),
        array("tokenizer.ggml.token_type", I32, [3, 3, *[1] * (size - 2)]),
        strings("tokenizer.ggml.merges", [" ".join(pair) for pair in merges]),
        u32("tokenizer.ggml.bos_token_id", 0),
        u32("tokenizer.ggml.eos_token_id", 1),
    ]


def llama(
    *,
    arch: str = "llama",
    n_layer: int = 2,
    n_embd: int = 64,
    n_head: int = 4,
    n_head_kv: int | Sequence[int] = 2,
    n_ff: int = 96,
    n_vocab: int = 288,
    n_ctx: int = 256,
    kind: str = "F32",
    tied: bool = False,
    vocabulary: Callable[[int], list[Pair]] = spm_vocabulary,
    extra: Iterable[Pair] = (),
) -> Gguf:
    """A model of the Llama family that llama.cpp loads and runs."""
    per_layer = [n_head_kv] * n_layer if isinstance(n_head_kv, int) else list(n_head_kv)
    kv_pair = (
        u32(f"{arch}.attention.head_count_kv", n_head_kv)
        if isinstance(n_head_kv, int)
        else array(f"{arch}.attention.head_count_kv", I32, per_layer)
    )
    pairs = [
        text("general.architecture", arch),
        text("general.name", "Tiny"),
        u32(f"{arch}.context_length", n_ctx),
        u32(f"{arch}.embedding_length", n_embd),
        u32(f"{arch}.block_count", n_layer),
        u32(f"{arch}.feed_forward_length", n_ff),
        u32(f"{arch}.attention.head_count", n_head),
        kv_pair,
        scalar(f"{arch}.attention.layer_norm_rms_epsilon", F32, 1e-5),
        *vocabulary(n_vocab),
        *extra,
    ]
    tensors = [Tensor("token_embd.weight", (n_embd, n_vocab), kind)]
    tensors += [Tensor("output_norm.weight", (n_embd,))]
    if not tied:
        tensors.append(Tensor("output.weight", (n_embd, n_vocab), kind))
    for layer, kv in enumerate(per_layer):
        tensors += layer_tensors(layer, n_embd, n_embd // n_head * kv, n_ff, kind)
    return Gguf(tuple(pairs), tuple(tensors))


def layer_tensors(layer: int, n_embd: int, n_kv: int, n_ff: int, kind: str) -> list[Tensor]:
    """A layer of `llama`; `n_kv` is how long a token's keys are."""
    shapes = {
        "attn_q": (n_embd, n_embd),
        "attn_k": (n_embd, n_kv),
        "attn_v": (n_embd, n_kv),
        "attn_output": (n_embd, n_embd),
        "ffn_gate": (n_embd, n_ff),
        "ffn_up": (n_embd, n_ff),
        "ffn_down": (n_ff, n_embd),
    }
    norms = [Tensor(f"blk.{layer}.{name}.weight", (n_embd,)) for name in ("attn_norm", "ffn_norm")]
    return norms + [
        Tensor(f"blk.{layer}.{name}.weight", shape, kind) for name, shape in shapes.items()
    ]
