"""Files with a second chat template, for chats with tools."""

from pathlib import Path
from typing import Any

import pytest

from appliance.engine.types import ChatMessage, ChatPrompt
from appliance.worker.chat_template.template import ChatTemplate
from appliance.worker.runners.base import one_template
from tests.engine.engine_client import CollectedReply
from tests.models.gguf_writer import llama, text
from tests.worker.runners.test_states import GREEDY, worker

KEY = "tokenizer.chat_template"
USUAL = "{% for m in messages %}{{ m.content }}{% endfor %}"
FOR_TOOLS = "{% for t in tools %}" + 40 * "t " + "{% endfor %}{{ messages[-1].content }}\n"
TOOLS: list[dict[str, Any]] = [{"type": "function", "function": {"name": "f"}}]
MESSAGES = [ChatMessage("user", "a")]


def test_the_one_for_tools_is_used_where_there_are_tools(tmp_path: Path) -> None:
    extra = [text(KEY, USUAL), text(f"{KEY}.tool_use", FOR_TOOLS)]
    file = tmp_path / "tiny.gguf"
    file.write_bytes(llama(extra=extra).encoded(seed=1))
    with worker(file) as engine:
        without = CollectedReply(engine, ChatPrompt(MESSAGES), GREEDY).wait().finished.prompt_tokens
        with_tools = (
            CollectedReply(engine, ChatPrompt(MESSAGES, tools=TOOLS), GREEDY)
            .wait()
            .finished.prompt_tokens
        )
    assert with_tools > without + 40


@pytest.mark.parametrize("tools", [None, TOOLS])
@pytest.mark.parametrize(
    ("usual", "for_tools"), [(USUAL, FOR_TOOLS), (USUAL, None), (None, FOR_TOOLS)]
)
def test_each_is_rendered_as_if_alone(
    usual: str | None, for_tools: str | None, tools: list[dict[str, Any]] | None
) -> None:
    def rendered(source: str | None) -> str:
        assert source
        template = ChatTemplate(source, bos="", eos="", special_tokens=[])
        return "".join(part for part, _ in template.render(MESSAGES, tools or []))

    if tools is None and usual is None:
        return  # its rendering without tools does not matter
    alone = for_tools if tools and for_tools else usual
    assert rendered(one_template(usual, for_tools)) == rendered(alone or for_tools)


def test_there_may_be_none() -> None:
    assert one_template(None, None) is None
