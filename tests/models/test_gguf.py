"""Valid files are described, others refused with a reason, and both are cheap."""

import os
import re
import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.config import paths
from appliance.errors import BadModelFile, ModelLoadFailed
from appliance.models.gguf.header import GgufHeader, is_legacy_ggml, read_header
from appliance.models.gguf.reader import GgufReader, open_file
from appliance.models.gguf.tensor_types import TYPE_OF_NUMBER
from tests.models import llama_process
from tests.models.architectures import deci, gemma3, granitehybrid, mamba, qwen3moe
from tests.models.gguf_writer import (
    F32,
    I32,
    U32,
    Gguf,
    Tensor,
    array,
    bpe_vocabulary,
    llama,
    scalar,
    strings,
    text,
    u32,
)
from tests.models.limited_reader import read_elsewhere

PLAIN = Gguf(pairs=(u32("a.b", 1), text("general.name", "x")))
WITH_TENSORS = replace(
    PLAIN, tensors=(Tensor("t0", (8, 3)), Tensor("t1", (32, 2)), Tensor("t2", (5,)))
)


def read(tmp_path: Path, data: bytes) -> object:
    file = tmp_path / "model.gguf"
    file.write_bytes(data)
    return read_header(file)


# -- what is read ---------------------------------------------------------------------------------


def test_embedded_model() -> None:
    header = read_header(paths.embedded_model())
    assert (header.architecture, header.quantization) == ("llama", "Q4_1")
    assert (header.context_length, header.embedding_length) == (8192, 576)
    assert (header.block_count, header.head_count, header.head_count_kv) == (
        30,
        (9,) * 30,
        (3,) * 30,
    )
    assert (header.key_length, header.value_length, header.vocab_size) == (64, 64, 49152)
    assert (header.licence, header.pooling, header.sliding_window) == ("apache-2.0", None, 0)
    assert header.chat_template
    assert "<|im_start|>" in header.chat_template
    assert (header.expert_count, header.split_count, header.is_recurrent) == (0, 0, False)
    assert sum(tensor.size for tensor in header.tensors) == 96_576_768
    last = header.tensors[-1]
    assert header.data_offset + last.offset + last.size <= header.file_size
    assert header.file_size == paths.embedded_model().stat().st_size


def test_other_architectures(tmp_path: Path) -> None:
    def described(file: Gguf) -> GgufHeader:
        return read_header(file.save(tmp_path / "model.gguf"))

    assert described(deci([4, 2, 1])).head_count_kv == (4, 2, 1)
    assert described(gemma3(window=512)).sliding_window == 512
    assert described(qwen3moe(n_expert=8, n_used=2)).expert_count == 8
    assert described(qwen3moe(n_expert=8, n_used=2)).expert_used_count == 2
    assert described(mamba()).is_recurrent
    assert described(mamba()).details["ssm.state_size"] == 16
    assert described(granitehybrid([0, 2])).head_count_kv == (0, 2)
    assert described(llama(vocabulary=bpe_vocabulary)).vocab_size == 288
    pooled = llama(extra=[u32("llama.pooling_type", 3), text("general.license", "mit")])
    assert (described(pooled).pooling, described(pooled).licence) == ("last", "mit")
    split = llama(extra=[scalar("split.no", 2, 1), scalar("split.count", 2, 3)])
    assert (described(split).split_no, described(split).split_count) == (1, 3)


@pytest.mark.parametrize(
    ("file_type", "name"), [(15, "Q4_K_M"), (7, "Q8_0"), (1, "F16"), (999, "Q8_0"), (None, "Q8_0")]
)
def test_quantization_as_people_call_it(file_type: int | None, name: str, tmp_path: Path) -> None:
    file = llama(kind="Q8_0", n_embd=64, n_ff=128)
    if file_type is not None:
        file = file.with_pair(u32("general.file_type", file_type))
    assert read_header(file.save(tmp_path / "model.gguf")).quantization == name


def test_types_are_those_of_ggml() -> None:
    known = {number: (values, size) for number, (_, values, size) in TYPE_OF_NUMBER.items()}
    assert known == llama_process.types()


def test_versions_and_alignments(tmp_path: Path) -> None:
    for version in (2, 3):
        read(tmp_path, replace(WITH_TENSORS, version=version).encoded())
    wide = replace(WITH_TENSORS, alignment=64).with_pair(u32("general.alignment", 64))
    read(tmp_path, wide.encoded())
    read(tmp_path, Gguf().encoded())


# -- the description ------------------------------------------------------------------------------


def test_message_says_file_fault_and_place(tmp_path: Path) -> None:
    file = tmp_path / "some model.gguf"
    file.write_bytes(replace(PLAIN, pairs=(u32("a", 1), u32("a", 2))).encoded())
    with pytest.raises(BadModelFile) as caught:
        read_header(file)
    assert str(caught.value) == (
        "some model.gguf: the key 'a' stands twice or is no plain text (byte 41)"
    )
    assert (caught.value.code, isinstance(caught.value, ModelLoadFailed)) == (
        "bad_model_file",
        True,
    )


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"lmgg" + bytes(20), "from before GGUF"),
        (b"version https://git-lfs", "begins with b'vers'"),
        (b"", "the file ends at byte 0"),
    ],
)
def test_what_a_file_is_instead(head: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadModelFile, match=re.escape(words)):
        read(tmp_path, head)


def test_legacy_ggml(tmp_path: Path) -> None:
    file = tmp_path / "old.bin"
    for magic in (0x67676D6C, 0x67676D66, 0x67676A74):
        for order in "<>":
            file.write_bytes(struct.pack(order + "I", magic) + bytes(16))
            assert is_legacy_ggml(file)
    for other in (b"GGUF", b"lmg", b""):
        file.write_bytes(other)
        assert not is_legacy_ggml(file)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("nowhere.gguf", "pipe", ".", "a\0b"):
        for question in (read_header, is_legacy_ggml):
            with pytest.raises(BadModelFile):
                question(tmp_path / name)


def test_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(bytes(100))
    with open_file(file) as opened:
        reader = GgufReader("model.gguf", opened)
        os.truncate(file, 50)
        with pytest.raises(BadModelFile, match="became shorter"):
            reader.read(60)


# -- what it costs --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large_vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    size = 250_000
    tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens += [f"token{number}" for number in range(size - 256)]
    pairs = (
        text("general.architecture", "llama"),
        text("tokenizer.ggml.model", "llama"),
        strings("tokenizer.ggml.tokens", tokens),
        array("tokenizer.ggml.scores", F32, [0.0] * size),
        array("tokenizer.ggml.token_type", I32, [1] * size),
        strings("tokenizer.ggml.merges", [f"{token[:2]} {token[2:]}" for token in tokens]),
    )
    return Gguf(pairs).save(tmp_path_factory.mktemp("models") / "large.gguf")


def test_time_for_a_large_vocabulary(large_vocabulary: Path) -> None:
    seconds = []
    for _ in range(3):
        start = time.process_time()
        assert read_header(large_vocabulary).vocab_size == 250_000
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1.0  # 0.15 on an idle machine


def test_memory_for_a_large_vocabulary(large_vocabulary: Path) -> None:
    verdicts, grown = read_elsewhere(large_vocabulary)
    assert verdicts == ["read"]
    assert grown <= 64 << 20


def test_what_is_really_there_is_bounded_too(tmp_path: Path) -> None:
    """Files as large as they declare: three million strings, keys of 40 MB, numbers of 40 MB."""
    endless = Gguf((strings("a", [""] * 3_000_000),))
    keys = Gguf(tuple(u32(f"{number:05}" + "k" * 60_000, 1) for number in range(700)))
    numbers = Gguf(tuple(array(f"a{number}", U32, [1] * 512) for number in range(20_000)))
    files = [
        file.save(tmp_path / f"{number}.gguf")
        for number, file in enumerate((endless, keys, numbers))
    ]
    verdicts, grown = read_elsewhere(*files)
    assert verdicts == ["refused"] * 3
    assert grown <= 64 << 20
