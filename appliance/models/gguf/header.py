"""The header of a GGUF file, read and checked before native code sees it.

A model file is input from strangers, and llama.cpp aborts on some of it. Nothing that the file
merely claims is believed: every count, length and offset is held against the file's length before
a byte is read or a loop begins. The file is read, not mapped: a mapped one that shrinks under the
reader ends the process.
"""

import math
import struct
from pathlib import Path

from appliance.models.gguf.metadata import (
    MAX_LAYERS,
    ArraySummary,
    GgufHeader,
    MetadataReader,
    MetadataValue,
    Tensor,
    describe,
)
from appliance.models.gguf.reader import MAX_STRINGS, U32, U64, GgufReader, open_file
from appliance.models.gguf.tensor_types import TYPE_OF_NUMBER
from appliance.models.gguf.validation import check, type_fault

__all__ = ["GgufHeader", "Tensor", "is_legacy_ggml", "read_header"]

MAX_PAIRS = MAX_TENSORS = 65_536
MAX_KEY = 65_536
"""Bytes."""
MAX_TEMPLATE = 1 << 20
"""Bytes of a chat template."""
MAX_SHORT = 4096
"""Bytes of another string that is remembered."""
ALIGNMENT = 32
"""Bytes; the CPU backend aborts on weights that begin elsewhere."""

_LARGEST = 2**63 - 1
_LEGACY = (b"lmgg", b"fmgg", b"tjgg", b"ggml", b"ggmf", b"ggjt")
_U32, _I32, _STRING, _ARRAY = 4, 5, 8, 9
_ALIGNMENT_KEY = "general.alignment"
_TOKEN_IS_BYTE = b"\x06\0\0\0"
_TEMPLATE = "tokenizer.chat_template"
_SCALARS = {
    number: struct.Struct(f"<{letter}")
    for number, letter in zip((*range(8), 10, 11, 12), "BbHhIif?Qqd", strict=True)
}


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of the GGUF file `path`, version 2 or 3, little endian.

    At most some 60 MB are held, and some 200 ms pass for a vocabulary of 250,000 tokens.

    Raises:
        BadModelFile: it cannot be read, or llama.cpp would refuse it or die of it.
    """
    with open_file(path) as file:
        reader = GgufReader(path.name, file)
        try:
            version, n_tensors, n_pairs = _read_counts(reader)
            pairs, places = _read_pairs(reader, n_pairs)
            alignment = _alignment(reader, pairs, places)
            tensors = _read_tensors(reader, n_tensors, alignment)
        except OSError as error:
            raise reader.bad(f"cannot be read: {error.strerror}") from error
        facts = MetadataReader(pairs, lambda key, what: reader.bad(what, places.get(key, 0)))
        check(facts, frozenset(tensor.name for tensor in tensors))
        return describe(
            facts,
            tensors,
            version=version,
            data_offset=_padded(reader.at, alignment),
            file_size=reader.size,
        )


def is_legacy_ggml(path: Path) -> bool:
    """Whether `path` is one of the formats before GGUF, by its first bytes.

    Raises:
        BadModelFile: it cannot be read.
    """
    with open_file(path) as file:
        return file.read(4) in _LEGACY


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _read_counts(reader: GgufReader) -> tuple[int, int, int]:
    """Version, tensors, pairs."""
    magic = reader.read(4)
    if magic in _LEGACY:
        raise reader.bad("a GGML file from before GGUF", 0)
    if magic != b"GGUF":
        raise reader.bad(f"not a GGUF file: it begins with {magic!r}", 0)
    version = reader.number(U32)
    if version not in (2, 3):
        why = "big-endian" if version and not version & 0xFFFF else f"version {version}"
        raise reader.bad(f"a GGUF file, but {why}; little-endian 2 and 3 can be read", 4)
    n_tensors, n_pairs = reader.number(U64), reader.number(U64)
    if n_tensors > MAX_TENSORS:
        raise reader.bad(f"{n_tensors} tensors; {MAX_TENSORS} are possible", 8)
    if n_pairs > MAX_PAIRS:
        raise reader.bad(f"{n_pairs} keys; {MAX_PAIRS} are possible", 16)
    return version, n_tensors, n_pairs


def _read_pairs(reader: GgufReader, count: int) -> tuple[dict[str, MetadataValue], dict[str, int]]:
    """Values by key, and at which byte each key begins."""
    pairs: dict[str, MetadataValue] = {}
    places: dict[str, int] = {}
    for _ in range(count):
        start = reader.at
        key = reader.text("a key", MAX_KEY)
        if key in pairs or not (key.isascii() and key.isprintable()):
            raise reader.bad(f"the key {key[:64]!r} stands twice or is no plain text", start)
        places[key] = start
        kind = reader.number(U32)
        if key == _ALIGNMENT_KEY and kind != _U32:
            raise reader.bad(f"{key} is of type {kind}, not {_U32}", start)
        if kind == _ARRAY:
            pairs[key] = _read_array(reader, key)
        elif kind == _STRING:
            pairs[key] = _read_string(reader, key)
        elif kind in _SCALARS:
            pairs[key] = reader.number(_SCALARS[kind])
        else:
            raise reader.bad(f"the key {key:.64} has the unknown type {kind}", reader.at - 4)
    return pairs, places


def _alignment(reader: GgufReader, pairs: dict[str, MetadataValue], places: dict[str, int]) -> int:
    value = pairs.get(_ALIGNMENT_KEY, ALIGNMENT)
    assert isinstance(value, int)
    if value < ALIGNMENT or value.bit_count() != 1:
        what = f"{_ALIGNMENT_KEY} is {value}, no power of two from {ALIGNMENT} up"
        raise reader.bad(what, places[_ALIGNMENT_KEY])
    return value


def _read_string(reader: GgufReader, key: str) -> str:
    size = reader.number(U64)
    if size > MAX_TEMPLATE and key == _TEMPLATE:
        raise reader.bad(f"a chat template of {size} bytes; {MAX_TEMPLATE} are possible")
    if size > MAX_SHORT and key != _TEMPLATE:
        reader.skip(size)
        return ""
    reader.keep(size)
    return reader.read(size).decode("utf-8", "replace")


def _read_array(reader: GgufReader, key: str) -> MetadataValue:
    kind, count = reader.number(U32), reader.number(U64)
    if kind == _STRING:
        if key == "tokenizer.ggml.tokens":
            return ArraySummary(count, has_bytes=_check_tokens(reader, count))
        reader.skip_strings(count)
        return ArraySummary(count)
    if kind not in _SCALARS:
        raise reader.bad(
            f"the key {key:.64} is an array of the unknown type {kind}", reader.at - 12
        )
    layout = _SCALARS[kind]
    if key == "tokenizer.ggml.token_type" and kind == _I32 and count <= MAX_STRINGS:
        return ArraySummary(count, has_bytes=_has_byte_kind(reader.read(count * layout.size)))
    if count > MAX_LAYERS:
        reader.skip(count * layout.size)
        return ArraySummary(count)
    reader.keep(count * 40)
    return tuple(value for (value,) in layout.iter_unpack(reader.read(count * layout.size)))


def _has_byte_kind(kinds: bytes) -> bool:
    at = kinds.find(_TOKEN_IS_BYTE)
    while at % 4 and at >= 0:
        at = kinds.find(_TOKEN_IS_BYTE, at + 1)
    return at >= 0


def _check_tokens(reader: GgufReader, count: int) -> bool:
    """Whether there is a token for every byte.

    llama.cpp aborts when two tokens read the same, up to their first NUL.
    """
    start = reader.at
    tokens = reader.strings(count)
    if b"\0" in b"".join(tokens):
        tokens = [token.split(b"\0", 1)[0] for token in tokens]
    known = set(tokens)
    if b"" in known:  # these get names of their own
        known = {token or b"[EMPTY_%d]" % index for index, token in enumerate(tokens)}
    if len(known) < count:
        raise reader.bad("the vocabulary has a token twice", start)
    return all(b"<0x%02X>" % byte in known or bytes([byte]) in known for byte in range(256))


def _read_tensors(reader: GgufReader, count: int, alignment: int) -> tuple[Tensor, ...]:
    tensors: list[Tensor] = []
    names: set[str] = set()
    offset = 0
    for _ in range(count):
        tensor = _read_tensor(reader)
        if tensor.name in names:
            raise reader.bad(f"the tensor {tensor.name} stands twice")
        # One after another: what llama.cpp wants, and it leaves no room to overlap.
        if tensor.offset != offset:
            raise reader.bad(f"the tensor {tensor.name} is at {tensor.offset}, not {offset}")
        names.add(tensor.name)
        tensors.append(tensor)
        offset = _padded(offset + tensor.size, alignment)
    if tensors:
        end = _padded(reader.at, alignment) + tensors[-1].offset + tensors[-1].size
        if end > reader.size:
            raise reader.bad(f"the tensors end at byte {end}, the file at {reader.size}")
    return tuple(tensors)


def _read_tensor(reader: GgufReader) -> Tensor:
    start = reader.at
    name = reader.text("a tensor's name", 63)
    n_dims = reader.number(U32)
    if not 1 <= n_dims <= 4 or "\0" in name:
        raise reader.bad(f"the tensor {name!r} has {n_dims} dimensions", start)
    dims = struct.unpack(f"<{n_dims}q", reader.read(8 * n_dims))
    number, offset = reader.number(U32), reader.number(U64)
    if number not in TYPE_OF_NUMBER:
        raise reader.bad(f"the tensor {name} has the unknown type {number}", start)
    kind, values, size = TYPE_OF_NUMBER[number]
    count = math.prod(dims)
    if min(dims) < 1 or count * 8 > _LARGEST or dims[0] % values:
        raise reader.bad(f"the tensor {name} of type {kind} cannot be {dims}", start)
    fault = type_fault(name, dims, kind)
    if fault:
        raise reader.bad(f"the tensor {name} {fault}", start)
    return Tensor(name, dims, kind, offset, count // values * size)
