"""Files that the header check refuses: broken ones, and those that would crash the worker."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import BadModelFile
from appliance.models.gguf.header import read_header
from tests.models import llama_process
from tests.models.architectures import deci, gemma3, granitehybrid, mamba, qwen3moe
from tests.models.gguf_writer import (
    ARRAY,
    F32,
    I32,
    STRING,
    U32,
    Gguf,
    Pair,
    Tensor,
    array,
    llama,
    scalar,
    strings,
    text,
    u32,
)
from tests.models.limited_reader import read_elsewhere

PLAIN = Gguf(pairs=(u32("a.b", 1), text("general.name", "x")))
WITH_TENSORS = replace(
    PLAIN, tensors=(Tensor("t0", (5,)), Tensor("t1", (32, 2)), Tensor("t2", (8, 3)))
)


def read(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(data)
    read_header(file)


# -- what llama.cpp's own tests reject ------------------------------------------------------------

BAD_ALIGN = u32("general.alignment", 13)
REJECTED = {
    "header: magic": replace(PLAIN, magic=b"FUGG"),
    "header: version 0": replace(PLAIN, version=0),
    "header: version 1": replace(PLAIN, version=1),
    "header: version of the future": replace(PLAIN, version=4),
    "header: tensors": replace(PLAIN, n_tensors=2**64 - 1),
    "header: pairs": replace(PLAIN, n_pairs=2**64 - 1),
    "pairs: key size": replace(PLAIN, pairs=(replace(u32("a", 1), key_length=2**64 - 1),)),
    "pairs: empty key": replace(PLAIN, pairs=(u32("", 1),)),
    "pairs: type": replace(PLAIN, pairs=(Pair(b"a", 13, b"\0"),)),
    "pairs: type in array": replace(PLAIN, pairs=(Pair(b"a", ARRAY, struct.pack("<IQ", 13, 1)),)),
    "pairs: array in array": replace(PLAIN, pairs=(Pair(b"a", ARRAY, struct.pack("<IQ", 9, 1)),)),
    "pairs: value size": replace(PLAIN, pairs=(array("a", U32, [1], count=2**40),)),
    "pairs: string size": replace(PLAIN, pairs=(Pair(b"a", STRING, struct.pack("<Q", 2**40)),)),
    "pairs: strings": replace(PLAIN, pairs=(strings("a", ["x"], count=2**40),)),
    "pairs: duplicate key": replace(PLAIN, pairs=(u32("a", 1), u32("a", 2))),
    "pairs: alignment": PLAIN.with_pair(BAD_ALIGN),
    "pairs: alignment's type": PLAIN.with_pair(scalar("general.alignment", I32, 32)),
    "pairs: alignment of 0": PLAIN.with_pair(u32("general.alignment", 0)),
    "pairs: alignment that the CPU cannot use": PLAIN.with_pair(u32("general.alignment", 1)),
    "tensors: name size": replace(PLAIN, tensors=(Tensor("t" * 64, (8,)),)),
    "tensors: no name": replace(PLAIN, tensors=(Tensor("", (8,)),)),
    "tensors: dimensions": replace(PLAIN, tensors=(Tensor("t", (8,), n_dims=5),)),
    "tensors: no dimensions": replace(PLAIN, tensors=(Tensor("t", (), "F32"),)),
    "tensors: shape": replace(PLAIN, tensors=(Tensor("t", (8, -1), 0),)),
    "tensors: zero dimension": replace(PLAIN, tensors=(Tensor("t", (8, 0)),)),
    "tensors: too many values": replace(PLAIN, tensors=(Tensor("t", (4 * (2**31 - 1),) * 2, 0),)),
    "tensors: too many bytes": replace(PLAIN, tensors=(Tensor("t", (1533916892,) * 2, 27),)),
    "tensors: padding wraps": replace(PLAIN, tensors=(Tensor("t", (4, 2**30 - 1, 2**30 + 1), 0),)),
    "tensors: type": replace(PLAIN, tensors=(Tensor("t", (8,), 43),)),
    "tensors: type that was removed": replace(PLAIN, tensors=(Tensor("t", (32,), 4),)),
    "tensors: half a block": replace(PLAIN, tensors=(Tensor("t.weight", (48, 2), 8),)),
    "tensors: offset": replace(PLAIN, tensors=(Tensor("t", (8,), offset=2**64 - 1),)),
    "tensors: overlap": replace(PLAIN, tensors=(Tensor("t", (64,)), Tensor("u", (8,), offset=32))),
    "tensors: gap": replace(PLAIN, tensors=(Tensor("t", (8,)), Tensor("u", (8,), offset=64))),
    "tensors: duplicate name": replace(PLAIN, tensors=(Tensor("t", (8,)), Tensor("t", (8,)))),
    "tensors: alignment": WITH_TENSORS.with_pair(BAD_ALIGN),
    "tensors: inconsistent alignment": replace(WITH_TENSORS, alignment=4),
}


@pytest.mark.parametrize("kind", REJECTED)
def test_rejected(kind: str, tmp_path: Path) -> None:
    file = REJECTED[kind]
    sized = all(isinstance(tensor.kind, str) for tensor in file.tensors)
    # The file has more data than any of them needs, so that the fault itself is found.
    data = file.header() + bytes(file.data_size() if sized else 0) + bytes(4096)
    with pytest.raises(BadModelFile, match=r"^model\.gguf: .+ \(byte \d+\)$"):
        read(tmp_path, data)


@pytest.mark.parametrize(
    "data",
    [
        WITH_TENSORS.encoded()[:-64],
        replace(PLAIN, tensors=(Tensor("t", (2**62,), "I8"), Tensor("u", (2**62,), "I8"))).header(),
        WITH_TENSORS.header(),
    ],
    ids=["not enough", "more than memory", "none"],
)
def test_data_that_are_not_there(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadModelFile):
        read(tmp_path, data)


def test_37_bytes(tmp_path: Path) -> None:
    """An empty key; such a file once crashed llama.cpp."""
    data = replace(Gguf(), pairs=(scalar("", 0, 1),)).header()[:37]
    assert len(data) == 37
    with pytest.raises(BadModelFile, match="a key of 0 bytes"):
        read(tmp_path, data)


# -- files that would crash the worker ------------------------------------------------------------


def without(file: Gguf, name: str) -> Gguf:
    return replace(file, tensors=tuple(t for t in file.tensors if t.name != name))


def retyped(file: Gguf, name: str, kind: str) -> Gguf:
    tensors = [replace(t, kind=kind) if t.name == name else t for t in file.tensors]
    return replace(file, tensors=tuple(tensors))


TOKENS = "tokenizer.ggml.tokens"
FATAL = {
    "no layers": llama().with_pair(u32("llama.block_count", 0)),
    "too many layers": llama().with_pair(u32("llama.block_count", 513)),
    "heads for other layers": llama().with_pair(array("llama.attention.head_count", U32, [4])),
    "a product past 32 bits": llama().with_pair(u32("llama.attention.head_count_kv", 2**31 + 1)),
    "experts without use": qwen3moe().with_pair(u32("qwen3moe.expert_used_count", 0)),
    "more experts used than there": qwen3moe().with_pair(u32("qwen3moe.expert_used_count", 9)),
    "groups of experts": qwen3moe().with_pair(u32("qwen3moe.expert_group_count", 3)),
    "an unknown scaling": llama(extra=[text("llama.rope.scaling.type", "magic")]),
    "nothing to rotate": gemma3(extra=[u32("gemma3.rope.dimension_count", 0)]),
    "more to rotate than there is": gemma3(extra=[u32("gemma3.rope.dimension_count", 4096)]),
    "half a head rotated": qwen3moe(extra=[u32("qwen3moe.rope.dimension_count", 16)]),
    "a negative epsilon": llama().with_pair(
        scalar("llama.attention.layer_norm_rms_epsilon", F32, -1)
    ),
    "a window past 32 bits": gemma3(window=2**31 - 1),
    "a norm in blocks": retyped(llama(), "blk.0.attn_norm.weight", "Q8_0"),
    "whole numbers as weights": retyped(llama(), "blk.1.attn_output.weight", "I8"),
    "a state in halves": retyped(granitehybrid([0, 2]), "blk.0.ssm_a", "F16"),
    "a state of another size": granitehybrid([0, 2]).with_pair(
        u32("granitehybrid.ssm.inner_size", 64)
    ),
    "a convolution without bias": without(granitehybrid([0, 2]), "blk.0.ssm_conv1d.bias"),
    "no vocabulary": llama().with_pair(text("tokenizer.ggml.model", "none")),
    "words and bytes": llama().with_pair(text("tokenizer.ggml.model", "bert")),
    "bytes without tokens": llama().with_pair(strings(TOKENS, [f"t{n}" for n in range(288)])),
    "a token twice": llama().with_pair(strings(TOKENS, ["a", "b", "a"])),
    "a token twice up to NUL": llama().with_pair(strings(TOKENS, ["a", "a\0b"])),
    "a token that an empty one will be": llama().with_pair(strings(TOKENS, ["", "[EMPTY_0]"])),
    "a NUL in a key": llama(extra=[u32("general.alignment\0", 1)]),
}


@pytest.mark.parametrize("kind", FATAL)
def test_refused_because_native_code_would_abort(kind: str, tmp_path: Path) -> None:
    with pytest.raises(BadModelFile, match=r"^model\.gguf: .+ \(byte \d+\)$"):
        read_header(FATAL[kind].save(tmp_path / "model.gguf"))


def test_the_originals_of_all_these_are_fine(tmp_path: Path) -> None:
    originals = [llama(), qwen3moe(), gemma3(), granitehybrid([0, 2]), deci([4, 2]), mamba()]
    files = []
    for number, file in enumerate(originals):
        files.append(tmp_path / f"{number}.gguf")
        files[-1].write_bytes(file.encoded(seed=1))
        read_header(files[-1])
    assert llama_process.loaded(files) == files


def test_claims_cost_nothing(tmp_path: Path) -> None:
    """Files of four kilobytes that declare a terabyte, in a process with little memory."""
    kinds = [kind for kind in REJECTED if "size" in kind or "strings" in kind or "many" in kind]
    files = []
    for number, kind in enumerate(kinds):
        files.append(tmp_path / f"{number}.gguf")
        files[-1].write_bytes(REJECTED[kind].header() + bytes(4096))
    verdicts, grown = read_elsewhere(*files)
    assert verdicts == ["refused"] * len(kinds) != []
    assert grown <= 8 << 20
