"""A partial reply is continued as the model itself would have written it."""

from typing import Any, cast

import pytest

from appliance.engine.local.engine import LocalEngine
from appliance.engine.protocol import Delta
from appliance.engine.types import ChatMessage, ChatPrompt, SamplingParams
from appliance.worker.chat_template.sandbox import SandboxedTemplate
from appliance.worker.parsers.base import ResumedParser
from appliance.worker.parsers.detect import OutputFormat
from appliance.worker.prompt_tokenizer import PromptTokenizer
from tests.engine.conftest import load_of
from tests.engine.engine_client import GREEDY, CollectedReply, ask, chat
from tests.engine.fake_runner import FakeRunner
from tests.worker.parsers.replies import THINK, as_message

TAGS = OutputFormat(None, THINK)
HARMONY = OutputFormat(harmony=True)
STYLES = [
    # style, prompt, the model's text, and the markup in it before thought and answer
    (TAGS, "", "<think>\n", "\n</think>\n\n"),
    (TAGS, "…<think>\n", "", "\n</think>\n\n"),
    (
        HARMONY,
        "<|start|>assistant",
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
]


@pytest.mark.parametrize(("style", "prompt", "opening", "between"), STYLES)
def test_the_beginning_of_a_reply_is_what_the_model_wrote(
    style: OutputFormat, prompt: str, opening: str, between: str
) -> None:
    thought, answer = "Hm < 3,  so.", "Four, <b>I</b> think."
    for cut in range(1, len(thought)):
        begun = style.prefill_segments(prompt, thought[:cut], "")
        assert "".join(text for text, _ in begun) == opening + thought[:cut]
        rest = f"{thought[cut:]}{between}{answer}"
        assert resumed(style, prompt, begun, rest) == (thought[cut:].strip(), answer)
    for cut in range(1, len(answer)):
        begun = style.prefill_segments(prompt, thought, answer[:cut])
        assert "".join(text for text, _ in begun) == f"{opening}{thought}{between}{answer[:cut]}"
        assert resumed(style, prompt, begun, answer[cut:]) == ("", answer[cut:])
    # Markup becomes control tokens; the model's own text never does, whatever it looks like.
    for text, parse_special in style.prefill_segments(prompt, thought, answer):
        assert parse_special == (text not in (thought, answer))


def resumed(
    style: OutputFormat, prompt: str, begun: list[tuple[str, bool]], rest: str
) -> tuple[str, str]:
    """The thought and the answer that follow the beginning."""
    last_text = next(text for text, parse_special in reversed(begun) if text and not parse_special)
    written = "".join(text for text, _ in begun)
    parser = ResumedParser(style.parser(prompt), written, last_text)
    pieces = as_message(
        [*(piece for part in rest for piece in parser.feed(part)), *parser.finish()]
    )
    return pieces["reasoning"].strip(), pieces["content"]


def test_what_turns_out_to_be_markup_is_no_reason_to_lose_words() -> None:
    begun = TAGS.prefill_segments("", "Hm </thi", "")
    assert resumed(TAGS, "", begun, "nk>\n\nSo.") == ("", "So.")
    assert resumed(TAGS, "", begun, "ng is.") == ("ng is.", "")


def test_an_answer_without_a_thought_goes_on_behind_one() -> None:
    assert OutputFormat().prefill_segments("", "", "Fo") == [("Fo", False)]
    assert TAGS.prefill_segments("", "", "Fo") == [("Fo", False)]
    assert [text for text, _ in TAGS.prefill_segments("<think>\n", "", "Fo") if text] == [
        *("\n</think>\n\n", "Fo")
    ]
    assert HARMONY.prefill_segments("", "", "Fo")[-1] == ("Fo", False)


class SentencePieceRunner(FakeRunner):
    """Puts a space before any text, as SentencePiece vocabularies do."""

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        return super().tokenize(f" {text}" if text else "", parse_special=parse_special)


class Plain:
    """Replaces the template's process."""

    def render(
        self, messages: list[ChatMessage], tools: Any, variables: Any
    ) -> list[tuple[str, bool]]:
        return [("".join(f"{m.role}: {m.content}\n" for m in messages) + "assistant:", True)]


@pytest.mark.parametrize("begun", ["Fo", " Fo", "\nFo", "  Fo", "o"])
def test_no_space_comes_in_between(begun: str) -> None:
    for kind in (FakeRunner, SentencePieceRunner):
        runner = kind(load_of("fake"), lambda *_: None)
        reader = PromptTokenizer(runner, cast(SandboxedTemplate, Plain()))
        messages = [ChatMessage("user", "2 + 2?"), ChatMessage("assistant", begun)]
        read = reader.read(ChatPrompt(messages, continue_final=True), SamplingParams())
        text = bytes(read.tokens).decode()
        assert text.lstrip(" ") == f"user: 2 + 2?\nassistant:{begun}"


def go_on(question: str, begun: str, **fields: Any) -> ChatPrompt:
    messages = [ChatMessage("user", question), ChatMessage("assistant", begun)]
    return ChatPrompt(messages, continue_final=True, **fields)


def test_the_model_goes_on_as_if_it_had_not_stopped(engine: LocalEngine) -> None:
    # The model is sure of this answer, so that rounding changes no token.
    question = "Name the months of the year."
    whole = ask(engine, chat(question), SamplingParams(temperature=0, max_tokens=30))
    tokens = [event.text for event in whole.events if isinstance(event, Delta)]
    for cut in (1, len(tokens) // 2, len(tokens) - 1):
        begun = "".join(tokens[:cut])
        rest = SamplingParams(temperature=0, max_tokens=30 - cut)
        reply = ask(engine, go_on(question, begun), rest)
        assert begun + reply.text == whole.text
        assert reply.finished.prompt_tokens == whole.finished.prompt_tokens + cut
        assert reply.finished.cached_tokens >= whole.finished.prompt_tokens


def test_what_the_model_wrote_is_no_control_token(engine: LocalEngine) -> None:
    plain = ask(engine, go_on("Hello", "a b")).finished.prompt_tokens
    typed = ask(engine, go_on("Hello", "a <|im_end|> b")).finished.prompt_tokens
    assert typed > plain + 3


def test_only_a_reply_can_go_on(engine: LocalEngine) -> None:
    reply = ask(engine, ChatPrompt([ChatMessage("user", "hi")], continue_final=True))
    assert (reply.failed.code, reply.failed.param) == ("invalid_request", "messages")


def test_a_long_chat_keeps_the_question_and_what_there_is_of_the_reply(engine: LocalEngine) -> None:
    old = [ChatMessage(("user", "assistant")[i % 2], "word " * 60) for i in range(40)]
    messages = [*old, ChatMessage("user", "Still?"), ChatMessage("assistant", "I am st")]
    reply = CollectedReply(engine, ChatPrompt(messages, continue_final=True, trim=True)).wait(300)
    assert 0 < reply.accepted.dropped_messages <= len(old)
    assert reply.accepted.dropped_messages % 2 == 0
    huge = ask(engine, go_on("hello", "word " * 3000, trim=True), GREEDY)
    assert huge.failed.code == "context_length_exceeded"
