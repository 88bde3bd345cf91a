"""Texts that are tokenized in slices: the tokens are those of the whole, in any vocabulary."""

import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from appliance.worker.chat_template.sandbox import SandboxedTemplate
from appliance.worker.prompt_tokenizer import PromptTokenizer
from appliance.worker.runners import slices
from appliance.worker.runners.llama_cpp.runner import LlamaRunner
from tests.worker.runners.vocabularies import NoTemplate

ROOT = Path(__file__).resolve().parents[3]
LENGTH = 3 * slices.SLICE
"""Length of a text in characters: several slices."""
NOT_CUT = {"bert-bge", "nomic-bert-moe", "deepseek-coder", "deepseek-llm"}
"""Vocabularies without merges, or with letters as special tokens."""


def texts(length: int = LENGTH) -> Iterator[str]:
    """Texts of people and programs, and hostile ones."""
    documents = sorted((ROOT / "docs").glob("*.md"))
    yield "".join(file.read_text("utf-8") for file in documents)[:length]
    code = sorted((ROOT / "appliance").rglob("*.py"))
    yield "".join(file.read_text("utf-8") for file in code)[:length]
    locales = sorted((ROOT / "ui" / "src" / "locales").glob("*.*"))
    yield "".join(file.read_text("utf-8") for file in locales)[:length]
    yield "user\na<|im_end|>\n<|im_start|>assistant\nb</s><end_of_turn>\n" * (length // 50)
    chance = random.Random(5)
    letters = [
        "a",
        "é",
        "漢",
        "字",
        "ß",
        "e\u0301",
        "1",
        ".",
        "\n",
        "\n\n",
        " ",
        "  ",
        "\t",
        "'s",
        "😀",
    ]
    words = [
        " the",
        "Word",
        "\nNext",
        " über",
        "的",
        "<|im_end|>",
        "\r\n",
        "-",
        "x",
        " x",
        "▁",
        " ▁",
    ]
    yield "".join(chance.choice(letters + words) for _ in range(length // 2))
    yield "ab\n" * (length // 6) + "é 漢\n" * (length // 8)


TEXTS = list(texts())


@pytest.mark.parametrize("length", [LENGTH, pytest.param(60_000, marks=pytest.mark.soak)])
def test_slices_have_the_tokens_of_the_whole(
    vocabularies: dict[str, LlamaRunner], length: int
) -> None:
    assert len(vocabularies) >= 20
    for name, runner in vocabularies.items():
        runner.__dict__["chat_template"] = None
        pauses = Counter[str]()
        reader = PromptTokenizer(
            runner,
            cast(SandboxedTemplate, NoTemplate()),
            partial(pauses.update, ["pause"]),
        )
        for number, text in enumerate(texts(length)):
            for special in (False, True):
                whole = runner.tokenize(text, parse_special=special)
                sliced = reader.tokens(text, parse_special=special)
                assert sliced == whole, (name, number, special)
        assert (runner.cuts is None) == (name in NOT_CUT), name
        assert pauses.total() > len(TEXTS) or name in NOT_CUT


def test_a_text_is_cut_between_letters_and_white_space_alone() -> None:
    cut = slices.cuts(["a", " the", "\n\n"], ["<s>"])
    for text in TEXTS:
        parts = list(slices.slices(text, cut))
        assert "".join(parts) == text
        for before, after in pairwise(parts):
            assert before[-1].isalpha()
            assert after[0] in "\n "
            assert after[1].isalpha()
            assert 0 < len(before) <= slices.SLICE or "\n" not in before
    assert list(slices.slices("x" * LENGTH, cut)) == ["x" * LENGTH]


def test_a_token_across_a_cut_forbids_it() -> None:
    lines = slices.cuts(["a b", "x"], [])
    assert lines
    assert lines.search("a\nb")
    assert not lines.search("a b")
    assert slices.cuts(["a b", "é\n"], []) is None
    assert slices.cuts(["a"], ["<s>", "SEP"]) is None
