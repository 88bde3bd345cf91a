"""The metadata of a GGUF file: its keys, and what they mean."""

from collections import Counter
from collections.abc import Callable

import msgspec

from appliance.errors import BadModelFile
from appliance.models.gguf.tensor_types import FILE_TYPES

MAX_LAYERS = 512
MAX_EXPERTS = 1024
MOST = {
    "block_count": MAX_LAYERS,
    "expert_count": MAX_EXPERTS,
    "embedding_length": 1 << 20,
    "attention.head_count": 1 << 15,
    "attention.head_count_kv": 1 << 15,
    "attention.key_length": 1 << 15,
    "attention.value_length": 1 << 15,
    "attention.sliding_window": 1 << 22,
}
"""Where llama.cpp multiplies in 32 bits, or has an array of that size."""

_POOLINGS = ("none", "mean", "cls", "last", "rank")
_RECURRENT = ("ssm.", "wkv.", "shortconv.", "kda.")


class Tensor(msgspec.Struct, frozen=True):
    """One tensor of the file."""

    name: str
    dims: tuple[int, ...]
    """1 to 4; the first runs fastest."""
    type: str
    """A key of `tensor_types.TYPES`."""
    offset: int
    """Bytes from `GgufHeader.data_offset`."""
    size: int
    """Bytes."""


class GgufHeader(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a GGUF file says about its model. What it does not say is 0, None or empty."""

    version: int
    kind: str
    """`model`, or what else llama.cpp's converters write: `adapter`, `mmproj`, `imatrix`."""
    architecture: str
    name: str | None
    licence: str | None
    quantization: str
    """As people call it: `Q4_K_M`, `Q8_0`, `F16`."""
    context_length: int
    """Tokens that the model was trained with."""
    embedding_length: int
    block_count: int
    head_count: tuple[int, ...]
    """One entry a layer, like `head_count_kv`."""
    head_count_kv: tuple[int, ...]
    key_length: int
    """Values of one head's key."""
    value_length: int
    vocab_size: int
    expert_count: int
    expert_used_count: int
    """Experts that a token goes through; of the layers, the most."""
    sliding_window: int
    """Tokens; 0: every layer sees everything."""
    chat_template: str | None
    pooling: str | None
    """`none`, `mean`, `cls`, `last` or `rank`; None for models that write text."""
    details: dict[str, int | tuple[int, ...]]
    """The architecture's other whole numbers, such as `ssm.state_size`, without its name."""
    split_no: int
    split_count: int
    """Files that the model is spread over; 0 or 1: this one alone."""
    tensors: tuple[Tensor, ...]
    data_offset: int
    file_size: int

    @property
    def is_recurrent(self) -> bool:
        """Whether some layers keep a state that cannot be cut at any token."""
        return any(key.startswith(_RECURRENT) and size for key, size in self.details.items())


class ArraySummary(msgspec.Struct, frozen=True):
    """An array that was checked and passed over."""

    count: int
    has_bytes: bool = False
    """For tokens: there is one for every byte. For token types: at least one is a byte."""


MetadataValue = int | float | str | tuple[int | float, ...] | ArraySummary
Pairs = dict[str, MetadataValue]


def describe(
    facts: "MetadataReader",
    tensors: tuple[Tensor, ...],
    *,
    version: int,
    data_offset: int,
    file_size: int,
) -> GgufHeader:
    """The header of which these are the parts.

    Raises:
        BadModelFile: a key has a value that makes no sense.
    """
    n = facts.count("block_count")
    heads = facts.layers("attention.head_count", (0,) * n)
    embedding = facts.count("embedding_length")
    each = embedding // heads[0] if heads and heads[0] else 0
    tokens = facts.pairs.get("tokenizer.ggml.tokens")
    listed = tokens.count if isinstance(tokens, ArraySummary) else 0
    pooling = facts.count("pooling_type", default=len(_POOLINGS))
    return GgufHeader(
        version=version,
        kind=facts.text("general.type") or "model",
        architecture=facts.architecture,
        name=facts.text("general.name"),
        licence=facts.text("general.license"),
        quantization=_quantization(facts.pairs.get("general.file_type"), tensors),
        context_length=facts.count("context_length"),
        embedding_length=embedding,
        block_count=n,
        head_count=heads,
        head_count_kv=facts.layers("attention.head_count_kv", heads),
        key_length=facts.count("attention.key_length", default=each),
        value_length=facts.count("attention.value_length", default=each),
        vocab_size=listed or facts.count("vocab_size"),
        expert_count=facts.count("expert_count"),
        expert_used_count=max(facts.layers("expert_used_count", ()), default=0),
        sliding_window=facts.count("attention.sliding_window"),
        chat_template=facts.text("tokenizer.chat_template"),
        pooling=_POOLINGS[pooling] if pooling < len(_POOLINGS) else None,
        details=facts.details(),
        split_no=facts.split("split.no"),
        split_count=facts.split("split.count"),
        tensors=tensors,
        data_offset=data_offset,
        file_size=file_size,
    )


def _quantization(file_type: MetadataValue | None, tensors: tuple[Tensor, ...]) -> str:
    """The quantization in the header, or the type of most of the file's bytes."""
    if isinstance(file_type, int) and file_type in FILE_TYPES:
        return FILE_TYPES[file_type]
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor.type] += tensor.size
    return sizes.most_common(1)[0][0] if sizes else ""


class MetadataReader:
    """Keys of the right kind and size, or an error: `bad(key, what)` makes it. Names without a
    dot in front belong to the architecture."""

    def __init__(self, pairs: Pairs, bad: Callable[[str, str], BadModelFile]) -> None:
        self.pairs = pairs
        self.bad = bad
        self.architecture = self.text("general.architecture") or ""

    def get(self, name: str, default: MetadataValue | None = None) -> MetadataValue | None:
        """The value of a key of the architecture."""
        return self.pairs.get(f"{self.architecture}.{name}", default)

    def text(self, key: str) -> str | None:
        value = self.pairs.get(key)
        return value if isinstance(value, str) else None

    def count(self, name: str, *, most: int | None = None, default: int = 0) -> int:
        """A whole number of the architecture."""
        value = self.get(name, default)
        most = MOST.get(name, 2**31 - 1) if most is None else most
        if not isinstance(value, int) or not 0 <= value <= most:
            raise self.refuse(name, f"0 to {most} are possible, not {value!r:.40}")
        return value

    def refuse(self, name: str, what: str) -> BadModelFile:
        """The error for a key of the architecture."""
        key = f"{self.architecture}.{name}"
        return self.bad(key, f"{key:.64}: {what}")

    def layers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """One number a layer; a file may give one for all."""
        n = self.count("block_count")
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, tuple):
            return (self.count(name),) * n
        most = MOST.get(name, 2**31 - 1)
        if len(value) != n or not all(isinstance(v, int) and 0 <= v <= most for v in value):
            raise self.refuse(name, f"{len(value)} numbers for {n} layers, or odd ones")
        return tuple(map(int, value))

    def split(self, key: str) -> int:
        value = self.pairs.get(key, 0)
        if not isinstance(value, int) or not 0 <= value < 2**16:
            raise self.bad(key, f"{key} is {value!r:.40}")
        return value

    def details(self) -> dict[str, int | tuple[int, ...]]:
        start = f"{self.architecture}."
        found: dict[str, int | tuple[int, ...]] = {}
        for key, value in self.pairs.items():
            if key.startswith(start):
                if isinstance(value, int):
                    found[key.removeprefix(start)] = value
                elif isinstance(value, tuple) and all(isinstance(v, int) for v in value):
                    found[key.removeprefix(start)] = tuple(map(int, value))
        return found
