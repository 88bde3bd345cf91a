"""The requests sent to an upstream, and the parsing of its responses."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from appliance.engine.protocol import Delta, Logprobs, SequenceEvent, TokenLogprob
from appliance.engine.types import ChatMessage, ChatPrompt, SamplingParams, TextPrompt, TokenPrompt
from appliance.engine.upstream.engine import UpstreamEngine
from appliance.errors import RequestError
from tests.engine.engine_client import CollectedReply, ask, chat
from tests.engine.upstream.fake_upstream import Exchange, HostileUpstream


def test_fields_get_openai_s_names(far: UpstreamEngine, upstream: HostileUpstream) -> None:
    sampling = SamplingParams(
        max_tokens=9,
        temperature=0.5,
        top_k=3,
        top_p=0.8,
        min_p=0.1,
        repeat_penalty=1.2,
        frequency_penalty=0.3,
        presence_penalty=-0.3,
        logit_bias=((4, 1.5),),
        ignore_eos=True,
        logprobs=3,
        seed=5,
        stop=("a", "b"),
    )
    assert ask(far, chat("hi"), sampling).text == "fine"
    asked = upstream.asked[0]
    assert asked.path == "/v1/chat/completions"
    assert asked.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.8,
        "seed": 5,
        "stop": ["a", "b"],
        "top_k": 3,
        "min_p": 0.1,
        "repeat_penalty": 1.2,
        "repetition_penalty": 1.2,
        "frequency_penalty": 0.3,
        "presence_penalty": -0.3,
        "logit_bias": {"4": 1.5},
        "ignore_eos": True,
        "logprobs": True,
        "top_logprobs": 3,
    }


def test_what_is_neutral_or_open_is_not_sent(
    far: UpstreamEngine, upstream: HostileUpstream
) -> None:
    ask(far, TextPrompt("hi"), SamplingParams(top_k=0, min_p=0))
    ask(far, TokenPrompt([1, 2]), SamplingParams(top_k=0, min_p=0))
    fields = {"model", "prompt", "stream", "stream_options", "temperature", "top_p", "seed"}
    assert [set(body) for body in upstream.bodies] == [fields, fields]
    assert [body["prompt"] for body in upstream.bodies] == ["hi", [1, 2]]
    assert {exchange.path for exchange in upstream.asked} == {"/v1/completions"}


def test_how_much_to_think_is_passed_on(far: UpstreamEngine, upstream: HostileUpstream) -> None:
    ask(far, ChatPrompt([ChatMessage("user", "hi")], effort="low"))
    ask(far, ChatPrompt([ChatMessage("user", "hi")]))
    assert [body.get("reasoning_effort") for body in upstream.bodies] == ["low", None]


def test_chunks_are_passed_on_as_they_come(far: UpstreamEngine, upstream: HostileUpstream) -> None:
    first_received = threading.Event()

    def answer(exchange: Exchange) -> None:
        exchange.open()
        exchange.send_text("one ")
        assert first_received.wait(20)
        exchange.send_text("two")
        exchange.end()

    upstream.answer = answer

    def on_event(event: SequenceEvent) -> None:
        if isinstance(event, Delta):
            first_received.set()

    reply = CollectedReply(far, chat("hi"), on_event=on_event).wait()
    assert [event.text for event in reply.events if isinstance(event, Delta)] == ["one ", "two"]


def test_logprobs_of_completions_are_understood_too(
    far: UpstreamEngine, upstream: HostileUpstream
) -> None:
    def answer(exchange: Exchange) -> None:
        choice_logprobs = {
            "tokens": [" a", "b"],
            "token_logprobs": [None, -0.5],
            "top_logprobs": [None, {"b": -0.5, "c": -1.5}],
        }
        exchange.open()
        exchange.send({"choices": [{"text": " ab", "logprobs": choice_logprobs}]})
        exchange.end()

    upstream.answer = answer
    reply = ask(far, TextPrompt("hi"), SamplingParams(logprobs=1))
    (delta,) = (event for event in reply.events if isinstance(event, Delta))
    assert delta.logprobs == [
        Logprobs(TokenLogprob(b" a", 0.0), []),
        Logprobs(TokenLogprob(b"b", -0.5), [TokenLogprob(b"b", -0.5)]),
    ]
    assert reply.finished.completion_tokens == 2


def test_what_only_this_machine_could_promise_is_refused(far: UpstreamEngine) -> None:
    with pytest.raises(RequestError) as caught:
        ask(far, "hi", SamplingParams(seed=1, reproducible=True))
    assert caught.value.param == "reproducible"


def test_thoughts_taken_apart_come_as_the_model_wrote_them(
    far: UpstreamEngine, upstream: HostileUpstream
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.open()
        for thought in ("Let me ", "see."):
            exchange.send({"choices": [{"delta": {"reasoning_content": thought}}]})
        exchange.send_text("Four", ".")
        exchange.end()

    upstream.answer = answer
    assert ask(far, chat("2 + 2?")).text == "<think>\nLet me see.\n</think>\n\nFour."


def test_an_upstream_that_counts_nothing_is_counted_and_it_says_so(
    far: UpstreamEngine, upstream: HostileUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.open()
        exchange.send_text("a", "b", "c")
        exchange.end("length")

    upstream.answer = answer
    for _ in range(2):
        finished = ask(far, chat("hi")).finished
        assert (finished.reason, finished.completion_tokens, finished.prompt_tokens) == (
            *("length", 3, 0),
        )
    assert caplog.text.count("no token counts") == 1
    assert far.state.detail and "no token counts" in far.state.detail


def test_without_a_farewell_a_whole_reply_is_whole(
    far: UpstreamEngine, upstream: HostileUpstream
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.open()
        exchange.send_text("all of it")
        exchange.send({"choices": [{"delta": {}, "finish_reason": "stop"}]})

    upstream.answer = answer
    reply = ask(far, chat("hi"))
    assert (reply.text, reply.finished.reason) == ("all of it", "stop")


def vllm(n_ctx: int, words: str) -> Callable[[Exchange], None]:
    """Refuses as vLLM does when prompt (a word is a token) and reply together are too long."""

    def answer(exchange: Exchange) -> None:
        n_prompt = sum(len(m["content"].split()) for m in exchange.body["messages"])
        n_reply = exchange.body["max_tokens"]
        if n_prompt + n_reply > n_ctx:
            text = words.format(ctx=n_ctx, sum=n_prompt + n_reply, prompt=n_prompt, reply=n_reply)
            exchange.refuse(400, {"error": {"message": text, "code": 400}})
        else:
            exchange.reply("fine")

    return answer


VLLM_ONCE = (
    "This model's maximum context length is {ctx} tokens. However, you requested {sum} tokens "
    "({prompt} in the messages, {reply} in the completion)."
)
VLLM_LATER = (
    "'max_tokens' or 'max_completion_tokens' is too large: {reply}. This model's maximum context "
    "length is {ctx} tokens and your request has {prompt} input tokens."
)
VLLM_NOW = (
    "You passed {prompt} input tokens and requested {reply} output tokens. However, the model's "
    "context length is only {ctx} tokens."
)
SGLANG = (
    "Requested token count exceeds the model's maximum context length of {ctx} tokens. You "
    "requested a total of {sum} tokens: {prompt} tokens from the input messages and {reply} "
    "tokens for the completion."
)


@pytest.mark.parametrize("words", [VLLM_ONCE, VLLM_LATER, VLLM_NOW, SGLANG])
def test_a_prompt_that_fits_gets_what_is_left_for_its_reply(
    far: UpstreamEngine, upstream: HostileUpstream, words: str
) -> None:
    upstream.answer = vllm(1000, words)
    reply = ask(far, chat("word " * 900), SamplingParams(max_tokens=2048))
    assert reply.text == "fine"
    assert [body["max_tokens"] for body in upstream.bodies] == [2048, 100]


def test_trimming_keeps_a_quarter_for_the_reply(
    far: UpstreamEngine, upstream: HostileUpstream
) -> None:
    upstream.answer = vllm(1000, VLLM_ONCE)
    old = [ChatMessage(("user", "assistant")[i % 2], "word " * 50) for i in range(18)]
    messages = [ChatMessage("system", "Be brief."), *old, ChatMessage("user", "Still there?")]
    reply = ask(far, ChatPrompt(messages, trim=True), SamplingParams(max_tokens=2048))
    last = upstream.bodies[-1]
    assert reply.accepted.dropped_messages == 8
    assert last["max_tokens"] == 250
    assert [m["content"] for m in (last["messages"][0], last["messages"][-1])] == [
        *("Be brief.", "Still there?"),
    ]


def test_trimming_begins_at_the_same_message_for_some_turns(
    far: UpstreamEngine, upstream: HostileUpstream
) -> None:
    upstream.answer = vllm(1000, VLLM_ONCE)
    first = []
    for turn in range(10, 18):
        messages = [
            ChatMessage(("user", "assistant")[i % 2], f"{i} " + "word " * 40)
            for i in range(2 * turn + 1)
        ]
        reply = ask(far, ChatPrompt(messages, trim=True), SamplingParams(max_tokens=100))
        assert reply.finished.reason == "stop"
        first.append(upstream.bodies[-1]["messages"][0]["content"].split()[0])
    assert len(first) / len(set(first)) > 2


def test_trimming_ends_with_the_last_message(
    far: UpstreamEngine, upstream: HostileUpstream
) -> None:
    upstream.answer = lambda e: e.refuse(400, {"message": "the prompt is too long"})
    messages = [ChatMessage(("user", "assistant")[i % 2], "word") for i in range(401)]
    reply = ask(far, ChatPrompt(messages, trim=True))
    assert reply.failed.code == "context_length_exceeded"
    assert len(upstream.bodies) < 25
    assert len(upstream.bodies[-1]["messages"]) == 1


def test_a_reply_that_goes_on_is_asked_for_as_such(
    far: UpstreamEngine, upstream: HostileUpstream
) -> None:
    upstream.answer = lambda e: e.refuse(400, {"message": "the prompt is too long"})
    messages = [ChatMessage(("user", "assistant")[i % 2], "word") for i in range(20)]
    reply = ask(far, ChatPrompt(messages, continue_final=True, trim=True))
    assert reply.failed.code == "context_length_exceeded"
    last = upstream.bodies[-1]
    assert [m["role"] for m in last["messages"]] == ["user", "assistant"]
    assert (last["continue_final_message"], last["add_generation_prompt"]) == (True, False)


def test_fields_that_the_upstream_does_not_know_are_left_out_from_then_on(
    far: UpstreamEngine, upstream: HostileUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(exchange: Exchange) -> None:
        odd = [name for name in ("top_k", "min_p") if name in exchange.body]
        if odd:
            text = f"Unrecognized request argument supplied: {odd[0]}"
            exchange.refuse(400, {"error": {"message": text}})
        else:
            exchange.reply("fine")

    upstream.answer = answer
    assert ask(far, chat("hi"), SamplingParams(max_tokens=5)).text == "fine"
    assert len(upstream.bodies) == 3
    assert ask(far, chat("hi"), SamplingParams(max_tokens=5)).text == "fine"
    assert len(upstream.bodies) == 4
    assert caplog.text.count("asked without min_p, top_k") == 1


def test_a_wish_to_think_or_not_is_passed_on_as_templates_name_it(
    far: UpstreamEngine, upstream: HostileUpstream
) -> None:
    prompts = [
        ChatPrompt([ChatMessage("user", "hi")], effort=effort, effort_is_wish=True)
        for effort in ("none", "high", None)
    ]
    for prompt in prompts:
        assert ask(far, prompt, SamplingParams(max_tokens=5)).text == "fine"
    passed = [body.get("chat_template_kwargs") for body in upstream.bodies]
    assert passed == [{"enable_thinking": False}, {"enable_thinking": True}, None]
    assert all("reasoning_effort" not in body for body in upstream.bodies)

    text = "chat_template_kwargs is not a field of this request"
    upstream.answer = lambda exchange: (
        exchange.refuse(400, {"error": {"message": text}})
        if "chat_template_kwargs" in exchange.body
        else exchange.reply("fine")
    )
    assert ask(far, prompts[0], SamplingParams(max_tokens=5)).text == "fine"


def test_the_client_library_is_loaded_at_the_first_use_alone() -> None:
    script = "import appliance.engine.upstream.engine, sys; sys.exit('openai' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], env=os.environ, check=False).returncode == 0
    )
