"""Chats that are far longer than the context: what is left out, and what it costs to find out."""

from typing import Any, cast

import pytest

from appliance.engine.types import ChatMessage, ChatPrompt, SamplingParams
from appliance.worker import prompt_tokenizer
from appliance.worker.chat_template.sandbox import SandboxedTemplate
from appliance.worker.prompt_tokenizer import PromptTokenizer, TokenizedPrompt
from tests.engine.conftest import load_of
from tests.engine.fake_runner import FakeRunner

N_CTX = 2048


class Template:
    """Replaces the template's process."""

    def __init__(self) -> None:
        self.rendered = 0
        """Characters, of all that was rendered."""

    def render(
        self, messages: list[ChatMessage], tools: Any, variables: Any
    ) -> list[tuple[str, bool]]:
        text = "".join(f"{m.role}: {m.content}\n" for m in messages) + "assistant:"
        self.rendered += len(text)
        return [(text, True)]


class Runner(FakeRunner):
    """Counts what it is given to tokenize."""

    tokenized = 0

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        self.tokenized += len(text)
        return super().tokenize(text, parse_special=parse_special)


def chat(turns: int) -> ChatPrompt:
    system = ChatMessage("system", "Be brief.")
    old = [
        ChatMessage(("user", "assistant")[i % 2], f"{i} " + "words " * (i * 7 % 30))
        for i in range(2 * turns)
    ]
    return ChatPrompt([system, *old, ChatMessage("user", "And?")], trim=True)


def reader() -> tuple[PromptTokenizer, Runner, Template]:
    template = Template()
    runner = Runner(load_of("fake", n_ctx=N_CTX), lambda *_: None)
    return PromptTokenizer(runner, cast(SandboxedTemplate, template)), runner, template


def read(prompt: ChatPrompt) -> TokenizedPrompt:
    return reader()[0].read(prompt, SamplingParams())


def test_most_of_a_very_long_chat_is_neither_rendered_nor_counted_twice() -> None:
    tokenizer, runner, template = reader()
    first = tokenizer.read(chat(3000), SamplingParams())
    assert N_CTX / 4 < len(first.tokens) <= N_CTX
    assert template.rendered < 10 * N_CTX
    before, template.rendered = runner.tokenized, 0
    second = tokenizer.read(chat(3001), SamplingParams())
    assert second.dropped_messages == first.dropped_messages
    assert runner.tokenized - before < before / 5
    assert template.rendered < 10 * N_CTX


@pytest.mark.parametrize("turns", [3, 20, 40, 60, 100, 200])
def test_the_same_is_left_out_as_if_all_had_been_rendered(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = read(chat(turns))
    monkeypatch.setattr(prompt_tokenizer, "FAR", 10**9)
    whole = read(chat(turns))
    assert (found.dropped_messages, found.tokens) == (whole.dropped_messages, whole.tokens)
