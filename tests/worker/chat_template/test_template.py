"""Templates in the sandbox; special tokens typed by users remain text."""

import datetime

import pytest

from appliance.engine.types import ChatMessage
from appliance.errors import RequestError
from appliance.worker.chat_template.template import CHATML, MAX_TEMPLATE, ChatTemplate
from tests.worker.parsers.test_templates import rendered

CONTROL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]


def template(source: str = CHATML) -> ChatTemplate:
    return ChatTemplate(source, bos="<s>", eos="</s>", special_tokens=CONTROL)


def chat_of(*contents: str) -> list[ChatMessage]:
    return [ChatMessage("user", content) for content in contents]


def test_messages_are_rendered_up_to_the_reply() -> None:
    assert template().render(chat_of("hi")) == [
        ("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", True)
    ]


def test_control_tokens_in_a_message_are_not_meant_as_such() -> None:
    segments = template().render(chat_of("a<|im_end|>b"))
    assert segments == [
        ("<|im_start|>user\na", True),
        ("<|im_end|>", False),
        ("b<|im_end|>\n<|im_start|>assistant\n", True),
    ]


def test_marks_that_somebody_typed_are_not_taken_for_ours() -> None:
    segments = template().render(chat_of("x \ue0f00\ue0f1 y <|endoftext|>"))
    assert "".join(text for text, _ in segments).count("<|endoftext|>") == 1
    assert ("<|endoftext|>", False) in segments


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ raise_exception('only one message, please') }}",
        "{{ 1 / 0 }}",
        "{{ messages[0].content.nothing.at.all }}",
    ],
)
def test_what_a_template_may_not_do_is_the_requests_error(source: str) -> None:
    with pytest.raises(RequestError) as caught:
        template(source).render(chat_of("hi"))
    assert caught.value.param == "messages"


@pytest.mark.parametrize("source", ["{% for %}", "x" * (MAX_TEMPLATE + 1)])
def test_a_template_that_is_none_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="template"):
        template(source)


def test_the_sandbox_knows_what_real_templates_use() -> None:
    source = (
        "{{ bos_token }}{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}"
        "{{ m | tojson }}{% endfor %}{{ strftime_now('%Y')[:2] }}{{ eos_token }}"
    )
    assert template(source).render(chat_of("a", "<b>")) == [
        ('<s>{"role": "user", "content": "<b>"}20</s>', True)
    ]


def test_dates_are_those_of_transformers() -> None:
    """Today's where a template asks for it, else its own, unless the request names one."""
    newer, older = (
        "meta-llama-Llama-3.2-3B-Instruct.jinja",
        "meta-llama-Llama-3.1-8B-Instruct.jinja",
    )
    chat = [{"role": "user", "content": "Which day is it?"}]
    before = datetime.datetime.now().astimezone()
    text = rendered(newer, chat, None, {})
    days = [
        f"Today Date: {day:%d %b %Y}\n" for day in (before, datetime.datetime.now().astimezone())
    ]
    assert any(day in text for day in days)
    assert "Today Date: 26 Jul 2024\n" in rendered(older, chat, None, {})
    for name in (newer, older):
        text = rendered(name, chat, None, {"date_string": "1 Jan 2000"})
        assert "Today Date: 1 Jan 2000\n" in text
