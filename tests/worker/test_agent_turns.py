"""An agent's turns on a real model: what it wrote is found again by the next turn, in the very
tokens, though a history tokenized anew would have others."""

import json
from collections.abc import Iterator

import pytest

from appliance.config import paths
from appliance.engine.types import (
    CalledFunction,
    ChatMessage,
    ChatPrompt,
    SamplingParams,
    ToolCall,
)
from tests.worker.real_model import RealModel
from tests.worker.test_bound_replies import TOOLS, template

TURNS = 3


@pytest.fixture(scope="module")
def model() -> Iterator[RealModel]:
    made = RealModel(paths.embedded_model(), n_seq_max=1)
    yield made
    made.close()


@pytest.mark.parametrize(
    "name", ["its own", "Qwen-Qwen2.5-7B-Instruct", "meta-llama-Llama-3.1-8B-Instruct"]
)
def test_calls_are_not_computed_again(model: RealModel, name: str) -> None:
    messages = [ChatMessage("user", f"What is the weather like in Rome? {name}")]
    held = 0
    for turn in range(TURNS):
        prompt = ChatPrompt(list(messages), tools=TOOLS, tool_choice="required", parse_output=True)
        # Hot, so that the tokens are not those of the tokenizer.
        sampling = SamplingParams(max_tokens=200, temperature=1.5, seed=turn)
        answer = model.ask(template(name), prompt, sampling)[0]
        end = answer.finished
        assert end.reason == "tool_calls"
        assert end.cached_tokens >= held, (turn, end)
        held = end.prompt_tokens + end.completion_tokens
        (called,) = answer.calls
        assert set(json.loads(called[1])) == {"place", "days"}
        call = ToolCall(f"call{turn:05}", CalledFunction(name=called[0], arguments=called[1]))
        messages += [
            ChatMessage("assistant", "", tool_calls=[call]),
            ChatMessage("tool", "It is sunny.", tool_call_id=call.id, name=called[0]),
        ]


def test_nor_are_answers(model: RealModel) -> None:
    messages = [ChatMessage("user", "Write a short letter to my aunt, with an emoji or two.")]
    held = 0
    for turn in range(TURNS):
        sampling = SamplingParams(max_tokens=60, temperature=1.5, seed=turn)
        answer = model.ask(template("its own"), ChatPrompt(list(messages)), sampling)[0]
        end = answer.finished
        assert end.cached_tokens >= held, (turn, end)
        # Of a reply that was cut the last token was not computed, and a space at its end is not
        # in the next prompt.
        held = end.prompt_tokens + end.completion_tokens - 2
        messages += [ChatMessage("assistant", answer.content), ChatMessage("user", "Go on.")]
