"""The cost of detecting the reply format of a model's template, at the first chat."""

from typing import Any, cast

import pytest

from appliance.engine.types import ChatMessage, ChatPrompt, SamplingParams
from appliance.worker.chat_template.sandbox import SandboxedTemplate, TemplateTooCostly
from appliance.worker.prompt_tokenizer import PromptTokenizer
from tests.engine.conftest import load_of
from tests.engine.fake_runner import FakeRunner

TOOLS: list[dict[str, Any]] = [{"type": "function", "function": {"name": "f"}}]


class Template:
    """Replaces the template's process."""

    def __init__(self, failure: Exception | None) -> None:
        self.examples = 0
        self._failure = failure

    def render(
        self, messages: list[Any], tools: Any, variables: Any, *, as_is: bool = False
    ) -> list[tuple[str, bool]]:
        if as_is:
            self.examples += 1
            if self._failure:
                raise self._failure
        return [("<" * 50_000 if as_is else "hi", True)]


@pytest.mark.parametrize(
    ("failure", "most"),
    [
        (TemplateTooCostly("it takes too much", param="messages"), 1),
        (RecursionError("deep"), 1),
        (None, 40),
    ],
)
def test_a_hostile_template_is_tried_a_few_times(
    failure: Exception | None, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = Template(failure)
    runner = FakeRunner(load_of("fake"), lambda *_: None)
    monkeypatch.setattr(runner, "chat_template", "{{ messages[0].content }}{{ tools }}")
    reader = PromptTokenizer(runner, cast(SandboxedTemplate, template))
    prompt = ChatPrompt([ChatMessage("user", "hi")], parse_output=True, tools=TOOLS)
    for _ in range(2):
        read = reader.read(prompt, SamplingParams())
        assert read.tokens
        assert read.parser
    assert 1 <= template.examples <= most
