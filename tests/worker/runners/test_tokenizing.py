"""Prompts have the tokens that llama.cpp gives them, and what looks like a control token in what
people write is text, unchanged.

For llama.cpp's own test vocabularies, with its own inputs, and for those of real models.
"""

import ctypes
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from appliance.engine.types import ChatMessage, TextPrompt
from appliance.worker.chat_template.sandbox import SandboxedTemplate
from appliance.worker.chat_template.template import CHATML, ChatTemplate
from appliance.worker.parsers.base import PromptSegment
from appliance.worker.prompt_tokenizer import PromptTokenizer
from appliance.worker.runners.llama_cpp.native.bindings import lib
from appliance.worker.runners.llama_cpp.runner import LlamaRunner
from tests.models.gguf_writer import llama
from tests.models.gguf_writer import text as text_pair
from tests.worker.llama_sources import sources
from tests.worker.runners.vocabularies import NoTemplate, vocabulary

SEPARATOR = "\n__ggml_vocab_test__\n"
MARKED = (
    "{% for m in messages %}{{ bos_token }}{{ m.role }}: {{ m.content }}{{ eos_token }}"
    "{% endfor %}{{ bos_token }}assistant:"
)
"""A template whose control tokens every vocabulary has that writes text."""
WORDS = {"bert-bge", "nomic-bert-moe"}
"""Vocabularies of models that write none."""
BLANKS = [
    "a  b",
    "   three\n\n\nlines\t\t",
    "{\n    'x':  1,\n        'y': 2\n}",
    "  ",
    "\n \n  \n",
]


def cases() -> dict[str, list[tuple[str, list[int]]]]:
    """llama.cpp's inputs and the tokens that it expects, by vocabulary."""
    given, wanted = sources("models", ".gguf.inp"), sources("models", ".gguf.out")
    found = {}
    for file, texts in given.items():
        lines = wanted[file.replace(".inp", ".out")].split("\n")
        tokens = [[int(token) for token in line.split()] for line in lines]
        name = file.removeprefix("ggml-vocab-").removesuffix(".gguf.inp")
        found[name] = list(zip(texts.split(SEPARATOR), tokens, strict=False))
    return found


CASES = cases()
TEXTS = [text for text, _ in CASES["llama-bpe"]] + BLANKS


def reader_of(runner: LlamaRunner) -> PromptTokenizer:
    return PromptTokenizer(runner, cast(SandboxedTemplate, NoTemplate()))


def template_of(runner: LlamaRunner, source: str) -> ChatTemplate:
    special = runner.special_token_texts()
    return ChatTemplate(source, bos=runner.bos, eos=runner.eos, special_tokens=special)


def rendered(template: ChatTemplate, contents: Sequence[str]) -> list[PromptSegment]:
    roles = itertools.cycle(("user", "assistant"))
    return template.render([ChatMessage(*it) for it in zip(roles, contents, strict=False)])


def text_of(runner: LlamaRunner, tokens: Sequence[int]) -> str:
    """As llama.cpp reads them, special ones included."""
    given = (lib.llama_token * len(tokens))(*tokens)
    room = 64 * len(tokens) + 64
    buffer = ctypes.create_string_buffer(room)
    size = lib.llama_detokenize(runner._vocab, given, len(tokens), buffer, room, False, True)
    assert size >= 0
    return buffer.raw[:size].decode("utf-8")


def control(runner: LlamaRunner, tokens: Sequence[int]) -> list[int]:
    special = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN
    return [it for it in tokens if lib.llama_vocab_get_attr(runner._vocab, it) & special]


def test_llama_cpps_inputs_have_the_tokens_that_it_expects(
    vocabularies: dict[str, LlamaRunner],
) -> None:
    assert len(CASES) >= 14
    for name, expected in CASES.items():
        assert len(expected) > 30
        for text, tokens in expected:
            assert vocabularies[name].tokenize(text, parse_special=False) == tokens, (name, text)


def test_a_prompt_has_the_tokens_of_its_text(vocabularies: dict[str, LlamaRunner]) -> None:
    """Runs of blanks, which some vocabularies have among their added tokens, too."""
    for name, runner in vocabularies.items():
        known = runner.special_token_texts()
        texts = [text for text in TEXTS if not any(special in text for special in known)]
        assert len(texts) > 40, name
        for source in (CHATML, MARKED):
            segments = rendered(template_of(runner, source), texts)
            whole = "".join(text for text, _ in segments)
            tokens = reader_of(runner)._tokens_of(segments)
            assert tokens == runner.tokenize(whole, parse_special=True), name


def test_what_looks_like_a_control_token_is_text_and_stays_as_it_is(
    vocabularies: dict[str, LlamaRunner],
) -> None:
    for name, runner in vocabularies.items():
        if name in WORDS:
            continue
        reader = reader_of(runner)
        template = template_of(runner, MARKED)
        fakes = runner.special_token_texts()
        assert fakes, name
        blank = (
            runner.tokenize("a", parse_special=False)
            != runner.tokenize("\na", parse_special=False)[
                len(runner.tokenize("\n", parse_special=False)) :
            ]
        )
        plain = control(runner, reader._tokens_of(rendered(template, ["one", "two", "end"])))
        for fake in [*fakes[:8], *fakes[-4:]]:
            contents = [f"a{fake}b {fake} c  {fake}", fake * 2, f"{fake}\n\n  end{fake}"]
            segments = rendered(template, contents)
            tokens = reader._tokens_of(segments)
            assert control(runner, tokens) == plain, (name, fake)
            text = text_of(runner, tokens)
            if blank:  # SentencePiece begins a text with one
                text = text.replace(f"{runner.bos} user", f"{runner.bos}user")
                text = text.replace(f"{runner.bos} assistant", f"{runner.bos}assistant")
            assert text == "".join(part for part, _ in segments), (name, fake)


def test_what_a_call_begins_with_has_no_blank_before_it(
    vocabularies: dict[str, LlamaRunner],
) -> None:
    for name, runner in vocabularies.items():
        if name in WORDS:
            continue
        tokens = reader_of(runner)._tokens_within('{"name": "', parse_special=True)
        before = runner.tokenize("\n", parse_special=False)
        text = text_of(runner, [*before, *tokens])
        assert text.lstrip(" ") == '\n{"name": "', name


def test_texts_that_are_compared_are_as_harmless(
    vocabularies: dict[str, LlamaRunner], tmp_path: Path
) -> None:
    """By a file's own template, as Qwen's rerankers have one; its control tokens are such."""
    for name, runner in vocabularies.items():
        if name in WORDS:
            continue
        own = runner.eos
        template = f"{own}Judge.\n<Query>: {{query}}\n<Document>: {{document}}{own}"
        runner.__dict__["pair_template"] = template
        reader = reader_of(runner)

        def read(query: str, document: str, reader: PromptTokenizer = reader) -> list[int]:
            return reader.read_input(TextPrompt(document), "documents", query)

        plain = read("a {document}  query", "the document")
        whole = template.replace("{document}", "the document")
        whole = whole.replace("{query}", "a {document}  query")
        assert plain == runner.tokenize(whole, parse_special=True), name
        for fake in runner.special_token_texts()[:8]:
            tokens = read(f"a{fake} query{fake}", f"{fake}the{fake}{fake} document")
            assert control(runner, tokens) == control(runner, plain), (name, fake)
            assert text_of(runner, tokens).count(fake) == 5 + 2 * (fake == own), (name, fake)
    file = tmp_path / "ranks.gguf"
    extra = [text_pair("tokenizer.chat_template.rerank", "{query}: {document}")]
    file.write_bytes(llama(extra=extra).encoded(seed=1))
    assert vocabulary(file).pair_template == "{query}: {document}"
