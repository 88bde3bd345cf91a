"""Old GGML models without native code: the file's check, tokenizing and detokenizing."""

import platform
import sys
from pathlib import Path

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from appliance.worker.runners.base import LoadError
from appliance.worker.runners.ctransformers.model_file import FAMILIES, family_of, read_header
from appliance.worker.runners.ctransformers.runner import CtransformersRunner
from appliance.worker.runners.ctransformers.vocabulary import Vocabulary
from tests.engine.conftest import load_of
from tests.worker.runners import ggml_writer


@pytest.mark.parametrize("family", ggml_writer.FAMILIES)
def test_a_file_that_ends_too_early_is_refused_wherever_it_ends(
    tmp_path: Path, family: str
) -> None:
    whole = ggml_writer.model(family, ggml_writer.random_weights())
    path = tmp_path / "short.bin"
    path.write_bytes(whole)
    assert read_header(path, family_of(family)).n_ctx == 256
    for length in {*range(100), *range(100, len(whole), 4999), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(LoadError, match=r"short\.bin"):
            read_header(path, family_of(family))


def test_a_file_that_lacks_its_last_tensors_is_refused(tmp_path: Path) -> None:
    whole = ggml_writer.model("mpt", ggml_writer.random_weights())
    path = tmp_path / "short.bin"
    path.write_bytes(whole[: whole.rindex(b"transformer.blocks.1.norm_2") - 16])
    with pytest.raises(LoadError, match="11 tensors, not 14"):
        read_header(path, family_of("mpt"))


def vocabulary(*more: bytes) -> Vocabulary:
    return Vocabulary([*ggml_writer.BYTES, *more], default_end=0)


@pytest.mark.parametrize("family", ["gpt2", "dolly"])
def test_words_are_cut_as_the_library_cuts_them(tmp_path: Path, family: str) -> None:
    from ctransformers import LLM  # type: ignore[import-not-found,import-untyped,unused-ignore]

    more = (b"  ", b"12", b" 1", b"'s", b"..", b" .", b"ant", b" ants", b"\n ")
    tokens = [*ggml_writer.BYTES, *more]
    path = tmp_path / "model.bin"
    path.write_bytes(ggml_writer.model(family, ggml_writer.equal_weights, tokens))
    library = LLM(str(path), FAMILIES[family].name, lib="basic")
    ours = Vocabulary(tokens, default_end=0)
    for text in (
        "the ants' ant's theants  the   ants",
        " 12 121 ...  . .\n \n\n 1\t ants\r\n",
        "x" * 300 + " the" * 50 + " " * 50 + "#1",
    ):
        assert ours.tokenize(text, parse_special=True) == library.tokenize(text)


def test_control_tokens_are_meant_only_where_they_may_be() -> None:
    end = b"<|end|>"
    words = vocabulary(end, b"<|user|>")
    meant = words.tokenize("hi<|end|>", parse_special=True)
    assert meant[-1] == len(ggml_writer.BYTES)
    typed = words.tokenize("hi<|end|>", parse_special=False)
    assert b"".join(map(words.token_to_bytes, typed)) == b"hi<|end|>"
    assert words.token_to_bytes(meant[-1]) == b""
    assert words.is_end_of_generation(meant[-1])
    assert not words.is_end_of_generation(meant[-1] + 1)
    assert set(words.special_token_texts) == {"<|endoftext|>", "<|end|>", "<|user|>"}


def test_bytes_without_a_token_are_left_out_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    words = Vocabulary([b"a", b"b"], default_end=1)
    assert words.tokenize("aäb", parse_special=False) == [0, 1]
    assert "2 bytes" in caplog.text


@pytest.mark.parametrize("text", ["a" * 200_000, "é " * 50_000, "\x00" * 100_000, " " * 200_000])
def test_long_texts_are_read(text: str) -> None:
    tokens = vocabulary().tokenize(text, parse_special=True)
    assert len(tokens) == len(text.replace("\x00", "").encode())


@pytest.mark.parametrize(
    ("control", "prompt"),
    [
        ((), "User: Hi\n\nAssistant:"),
        ((b"<|user|>", b"<|assistant|>", b"<|end|>"), "<|user|>\nHi<|end|>\n<|assistant|>\n"),
        ((b"### Instruction:", b"### Response:"), "### Instruction:\nHi\n\n### Response:\n"),
    ],
)
def test_a_chat_is_formatted_as_the_control_tokens_suggest(
    control: tuple[bytes, ...], prompt: str
) -> None:
    template = vocabulary(*control).chat_template
    assert template
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    messages = [{"role": "user", "content": "Hi"}]
    assert environment.from_string(template).render(messages=messages).endswith(prompt)


def test_a_model_that_knows_chatml_is_spoken_to_in_it() -> None:
    assert vocabulary(b"<|im_start|>", b"<|im_end|>").chat_template is None


def test_a_processor_that_has_no_library_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    path = tmp_path / "model.bin"
    path.write_bytes(ggml_writer.model("gpt2", ggml_writer.equal_weights))
    sentence = "ctransformers has no library for aarch64 processors on Linux"
    with pytest.raises(LoadError, match=sentence):
        CtransformersRunner(load_of(str(path), n_seq_max=1), lambda *_: None, family="gpt2")


def test_a_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ctransformers", None)
    path = tmp_path / "model.bin"
    path.write_bytes(ggml_writer.model("gpt2", ggml_writer.equal_weights))
    with pytest.raises(LoadError, match="ctransformers"):
        CtransformersRunner(load_of(str(path), n_seq_max=1), lambda *_: None, family="gpt2")
