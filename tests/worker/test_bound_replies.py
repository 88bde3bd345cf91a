"""Real replies that keep to a schema, under the templates of other models: behind a thought that
the template opens, and beside calls that the model may make instead."""

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.config import paths
from appliance.engine.types import ChatMessage, ChatPrompt, SamplingParams
from appliance.models.gguf.header import read_header
from tests.worker.llama_sources import sources
from tests.worker.real_model import Answer, RealModel, conforms

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["cat", "dog"]},
        "age_of_the_animal_in_years": {"type": "integer", "minimum": 0, "maximum": 30},
    },
    "required": ["kind", "age_of_the_animal_in_years"],
    "additionalProperties": False,
}
PLACE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "place": {"type": "string", "enum": ["Rome", "New York"]},
        "days": {"type": "integer", "enum": [1, 2, 3]},
    },
    "required": ["place", "days"],
    "additionalProperties": False,
}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": name, "description": "It does.", "parameters": PLACE}}
    for name in ("get_weather", "book_a_table")
]
ASKED = [ChatMessage("system", "You help."), ChatMessage("user", "Tell me about a pet.")]


@pytest.fixture(scope="module")
def model() -> Iterator[RealModel]:
    made = RealModel(paths.embedded_model())
    yield made
    made.close()


def template(name: str) -> str:
    if name == "its own":
        return read_header(paths.embedded_model()).chat_template or ""
    return sources("models/templates", ".jinja")[f"{name}.jinja"]


def bound(**fields: Any) -> SamplingParams:
    fields = {"json_schema": json.dumps(SCHEMA), "max_tokens": 120, "seed": 3, **fields}
    return SamplingParams(**fields)


# -- behind a thought -----------------------------------------------------------------------------

OPENING = ["Qwen3.5-4B", "llama-cpp-deepseek-r1", "MiniMax-M2"]
"""Templates that end a prompt with the opening of a thought."""
GIVES_IN = {"Qwen3.5-4B", "MiniMax-M2"}
"""Under these the model ends its thought when it is nudged, and under the other one it goes on."""


@pytest.mark.parametrize("name", OPENING)
def test_it_thinks_first_and_then_obeys(model: RealModel, name: str) -> None:
    closing = model.runner.tokenize("</think>", parse_special=True)

    def nudged(*by: float) -> Any:
        """Towards the end of a thought, which the model has never seen."""
        return {"logit_bias": tuple(zip(closing, by, strict=True)), "max_tokens": 60}

    prompt = ChatPrompt(ASKED, parse_output=True)
    drawn = [
        bound(temperature=1.0, seed=int(by), **(nudged(by, by, by) if by else {"max_tokens": 30}))
        for by in (0.0, 5.0, 9.0)
    ]
    *answers, cut = model.ask(template(name), prompt, *drawn, bound(max_tokens=2))
    assert cut.reasoning
    assert (cut.content, cut.finished.reason) == ("", "length")
    for answer in answers:
        assert answer.kinds in (["reasoning", "content"], ["content"], ["reasoning"])
        if answer.finished.reason == "stop":
            assert conforms(SCHEMA, answer.content), answer
        else:
            assert answer.content[:1] in ("", "{"), answer
    begun = ChatMessage("assistant", "", reasoning_content="It may be a cat, or")
    prompt = ChatPrompt([*ASKED, begun], parse_output=True, continue_final=True)
    grammar = bound(json_schema=None, grammar='root ::= "yes" | "no"', **nudged(12, 9, 9))
    params = bound(temperature=0, **nudged(12, 9, 9)), grammar
    one, other = model.ask(template(name), prompt, *params)
    if name in GIVES_IN:
        assert conforms(SCHEMA, one.content), one
    assert other.content in ("yes", "no", ""), other


def test_where_the_template_closes_the_thought_it_obeys_at_once(model: RealModel) -> None:
    (answer,) = model.ask(template("Qwen-QwQ-32B"), ChatPrompt(ASKED, parse_output=True), bound())
    assert (answer.kinds, conforms(SCHEMA, answer.content)) == (["content"], True)


# -- an answer or a call --------------------------------------------------------------------------

FAMILIES = [
    "its own",
    "Qwen-Qwen2.5-7B-Instruct",
    "Qwen3-Coder",
    "meta-llama-Llama-3.1-8B-Instruct",
    "mistralai-Mistral-Nemo-Instruct-2407",
    "openai-gpt-oss-120b",
    "google-gemma-4-31B-it",
]


def well_formed(answer: Answer) -> bool:
    """It is an answer that conforms or a call that does."""
    if answer.calls:
        ((name, arguments),) = answer.calls
        assert name in ("get_weather", "book_a_table")
        assert answer.finished.reason == "tool_calls"
        return not answer.content and conforms(PLACE, arguments)
    return conforms(SCHEMA, answer.content) and answer.finished.reason == "stop"


EITHER = {"its own", "Qwen-Qwen2.5-7B-Instruct", "Qwen3-Coder"}
"""Families whose calls begin with `<`, and whose answers don't."""


@pytest.mark.parametrize("name", FAMILIES)
def test_a_reply_is_an_answer_or_a_call(model: RealModel, name: str) -> None:
    to_bytes = model.runner.token_to_bytes
    texts = [to_bytes(n) for n in range(model.runner.n_vocab)]
    # A thought, of gpt-oss's, goes on for as long as it likes.
    thoughts = [n for n, text in enumerate(texts) if b"analysis".startswith(text or b"-")]
    banned = thoughts if name == "openai-gpt-oss-120b" else []
    against = tuple((n, -math.inf) for n in banned)
    drawn = [bound(temperature=1.5, seed=seed, logit_bias=against) for seed in range(2)]
    marks = [n for n, text in enumerate(texts) if text.startswith(b"<")] if name in EITHER else []
    pushed = [
        bound(temperature=0, logit_bias=tuple((n, by) for n in marks))
        for by in (30.0, -math.inf)
        if marks
    ]
    prompt = ChatPrompt(ASKED, parse_output=True, tools=TOOLS)
    answers = model.ask(template(name), prompt, *drawn, *pushed)
    assert all(map(well_formed, answers)), answers
    assert [len(answer.calls) for answer in answers[2:]] == [1, 0][: len(pushed)]


def test_without_tools_an_answer_conforms(model: RealModel) -> None:
    for name in ("openai-gpt-oss-120b", "its own"):
        (answer,) = model.ask(template(name), ChatPrompt(ASKED, parse_output=True), bound())
        assert conforms(SCHEMA, answer.content), answer


def test_a_tool_that_cannot_be_kept_to_is_named(model: RealModel) -> None:
    odd = {"type": "function", "function": {"name": "odd", "parameters": {"not": {}}}}
    prompt = ChatPrompt(ASKED, parse_output=True, tools=[*TOOLS, odd])
    with pytest.raises(ValueError, match=r"tools\[2\]\.function\.parameters"):
        model.ask(template("its own"), prompt, bound())
    with pytest.raises(ValueError, match="response_format"):
        model.ask(template("its own"), prompt, bound(json_schema='{"not": {}}'))


def test_what_a_bias_is_against_is_not_taken_for_certain(model: RealModel) -> None:
    grammar: Any = {"json_schema": None, "grammar": 'root ::= "a wonderful day"'}
    prompt = ChatPrompt(ASKED)
    (plain,) = model.ask(template("its own"), prompt, bound(**grammar))
    assert plain.content == "a wonderful day"
    assert plain.finished.completion_tokens == len(plain.tokens)
    for token in plain.tokens:
        with pytest.raises(ValueError, match="logit_bias or ignore_eos leaves"):
            model.ask(
                template("its own"), prompt, bound(logit_bias=((token, -math.inf),), **grammar)
            )
