"""Old GGML files, walked through in pure Python before native code sees them.

ctransformers believes what a file says: one that ends too early leaves it with weights that nobody
wrote, and a wrong count keeps it reading for hours. The layouts are those of its loaders in version
0.2.27. All numbers are little-endian and of 32 bits.
"""

import os
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance.worker.runners.base import LoadError

MAGIC = b"lmgg"
MAX_VOCAB = 1 << 20
MAX_N_CTX = 1 << 20
MAX_N_EMBD = 1 << 17
MAX_LAYERS = 512
MAX_TEXT = 1 << 16
"""Bytes of a token's text or a tensor's name."""

# Number in a file: name, values in a block, bytes of a block.
_TYPES = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
}


@dataclass(frozen=True, slots=True)
class Family:
    """How the files of one family of models are laid out."""

    name: str
    """What ctransformers calls it."""
    numbers: str
    """The numbers after the magic, in order."""
    tensors: int
    """Tensors outside of layers; one more, an output matrix of its own, is possible."""
    layer_tensors: int
    """Tensors of a layer."""
    counted: bool = False
    """The vocabulary begins with its size."""
    scored: bool = False
    """Each token is followed by its score, as SentencePiece has it."""


_GPT2 = "n_vocab n_ctx n_embd n_head n_layer ftype"
_GPTJ = "n_vocab n_ctx n_embd n_head n_layer n_rot ftype"
_NEOX = "n_vocab n_ctx n_embd n_head n_layer n_rot par_res ftype"
_MPT = "n_embd n_ctx n_head n_layer n_vocab alibi_bias_max clip_qkv ftype"
_REPLIT = "n_embd n_ctx n_head n_layer n_vocab ftype"

FAMILIES = {
    "gpt2": Family("gpt2", _GPT2, 4, 12, counted=True),
    "gptj": Family("gptj", _GPTJ, 5, 10, counted=True),
    "gpt_neox": Family("gpt_neox", _NEOX, 4, 12),
    "dolly": Family("dolly-v2", _NEOX, 4, 12),
    "starcoder": Family("starcoder", _GPT2, 4, 12, counted=True),
    "mpt": Family("mpt", _MPT, 2, 6),
    "replit": Family("replit", _REPLIT, 2, 6, scored=True),
}
"""By the name that the configuration uses."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about its model."""

    n_vocab: int
    n_ctx: int
    """Tokens that the model was trained with."""
    n_params: int
    size: int
    """Bytes of weights."""
    quantization: str
    """The type that most of the bytes have."""


def family_of(name: str) -> Family:
    """The family that the configuration names.

    Raises:
        LoadError: there is none of that name.
    """
    family = FAMILIES.get(name)
    if family is None:
        raise LoadError(
            f"there is no family {name!r} of GGML models; {', '.join(FAMILIES)} are known"
        )
    return family


def read_header(path: Path, family: Family) -> Header:
    """Read a file from end to end, without the weights themselves.

    Raises:
        LoadError: it is not such a file, or not whole.
    """
    try:
        # Asked first: opening a pipe waits for somebody to write into it.
        if not path.is_file():
            raise LoadError(f"there is no model file {path}")
        with path.open("rb") as file:
            return _Walk(path.name, file).header(family)
    except OSError as ex:
        raise LoadError(f"{path.name} cannot be read: {ex}") from ex


class _Walk:
    """A place in the file; nothing is read beyond its end."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self._name = name
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._at = 0

    def header(self, family: Family) -> Header:
        magic = self._bytes(4)
        if magic == b"GGUF":
            raise LoadError(f"{self._name} is a GGUF file, so it needs no `family`")
        if magic != MAGIC:
            raise LoadError(f"{self._name} is not a GGML file")
        names = family.numbers.split()
        numbers = dict(zip(names, self._numbers(len(names)), strict=True))
        self._check(numbers)
        n_vocab = numbers["n_vocab"]
        if family.counted and self._numbers(1)[0] != n_vocab:
            raise self._damaged("it counts its tokens twice, and the counts differ")
        for _ in range(n_vocab):
            self._skip(self._length("a token", least=0) + 4 * family.scored)
        sizes: Counter[str] = Counter()
        n_params = count = 0
        expected = family.tensors + family.layer_tensors * numbers["n_layer"]
        while self._at < self._size and count <= expected + 1:
            kind, values, size = self._tensor()
            sizes[kind] += size
            n_params += values
            count += 1
        if not expected <= count <= expected + 1:
            raise self._damaged(f"it has {count} tensors, not {expected}")
        return Header(
            n_vocab=n_vocab,
            n_ctx=numbers["n_ctx"],
            n_params=n_params,
            size=sizes.total(),
            quantization=sizes.most_common(1)[0][0],
        )

    def _check(self, numbers: dict[str, int]) -> None:
        for name, most in (
            ("n_vocab", MAX_VOCAB),
            ("n_ctx", MAX_N_CTX),
            ("n_embd", MAX_N_EMBD),
            ("n_head", MAX_N_EMBD),
            ("n_layer", MAX_LAYERS),
        ):
            if not 1 <= numbers[name] <= most:
                raise self._damaged(f"{name} is {numbers[name]}; 1 to {most} are possible")
        if numbers["n_embd"] % numbers["n_head"]:
            raise self._damaged(f"{numbers['n_embd']} values go to {numbers['n_head']} heads")

    def _tensor(self) -> tuple[str, int, int]:
        """Type, values and bytes of the next tensor."""
        n_dims = self._numbers(1)[0]
        length = self._length("a tensor's name", least=1)
        number = self._numbers(1)[0]
        if n_dims not in (1, 2) or number not in _TYPES:
            raise self._damaged(f"a tensor has {n_dims} dimensions and type {number}")
        dims = self._numbers(n_dims)
        kind, block, block_size = _TYPES[number]
        if min(dims) < 1 or dims[0] % block:
            raise self._damaged(f"a tensor of type {kind} measures {dims}")
        self._skip(length)
        values = dims[0] * (dims[1] if n_dims == 2 else 1)
        size = values // block * block_size
        self._skip(size)
        return kind, values, size

    def _length(self, what: str, *, least: int) -> int:
        length = self._numbers(1)[0]
        if not least <= length <= MAX_TEXT:
            raise self._damaged(f"{what} has {length} bytes")
        return length

    def _numbers(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}i", self._bytes(4 * count))

    def _bytes(self, size: int) -> bytes:
        self._reach(size)
        return self._file.read(size)

    def _skip(self, size: int) -> None:
        self._reach(size)
        self._file.seek(self._at)

    def _reach(self, size: int) -> None:
        if size > self._size - self._at:
            raise self._damaged(f"{size} bytes are due, and it ends at byte {self._size}")
        self._at += size

    def _damaged(self, what: str) -> LoadError:
        return LoadError(
            f"{self._name} is damaged or of another family: {what} (at byte {self._at})"
        )
