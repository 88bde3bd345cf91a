"""A reply's constraint, step by step."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from appliance.errors import RequestError
from appliance.worker.constraints import check, constraint, gbnf
from appliance.worker.constraints.constraint import Constraint
from appliance.worker.parsers.detect import detect

BYTES = LLTokenizer("byte")
END = BYTES.eos_token


class Later(Executor):
    """Computes only when the test lets it."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(fn(*args))
            except RequestError as ex:
                future.set_exception(ex)

        self.jobs.append(run)
        return future


def bound(
    grammar: str, after: str = "", beside: Executor | None = None, *, ahead: bool = False
) -> Constraint:
    lark = LLMatcher.grammar_from_lark(gbnf.to_lark(grammar, lambda _: None, [END]))
    return Constraint(
        check.matcher(BYTES, lark),
        n_vocab=BYTES.vocab_size,
        ends=[END],
        token_to_bytes=lambda token: bytes([token]),
        param="grammar",
        beside=beside or Later(),
        after=after,
        ahead=ahead,
    )


def allowed(of: Constraint) -> set[int] | None:
    mask = of.allowed()
    if mask is None:
        return None
    return {token for token in range(BYTES.vocab_size) if mask[token // 8] >> token % 8 & 1}


def test_what_may_follow_and_then_nothing() -> None:
    reply = bound('root ::= "ab" "c"?')
    assert allowed(reply) == {ord("a")}
    reply.accept(ord("a"))
    assert not reply.complete
    reply.accept(ord("b"))
    assert reply.complete
    assert allowed(reply) == {ord("c"), END}
    reply.accept(ord("c"))
    assert allowed(reply) in (None, {END})
    assert reply.complete


def test_what_is_certain_is_known_at_once() -> None:
    reply = bound('root ::= "abcd" ("x" | "y") "efgh" | "abcz"', ahead=True)
    assert bytes(reply.certain()) == b"abc"
    assert reply.certain() == []
    assert allowed(reply) == {ord("d"), ord("z")}
    reply.accept(ord("d"))
    assert allowed(reply) == {ord("x"), ord("y")}
    reply.accept(ord("y"))
    assert [reply.certain(1) for _ in range(2)] == [[ord("e")], [ord("f")]]
    assert bytes(reply.certain()) == b"gh"
    assert reply.complete
    assert allowed(reply) in (None, {END})


def test_behind_a_thought_it_is_certain_what_follows() -> None:
    reply = bound('root ::= "yes"', after="</think>", ahead=True)
    for byte in b"hm </think>":
        assert reply.certain() == []
        reply.accept(byte)
    assert bytes(reply.certain()) == b"yes"


def test_certain_steps_that_take_long_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constraint, "SLOW_SECONDS", -1.0)
    later = Later()
    reply = bound('root ::= [ab] [ab] "cdef"', beside=later, ahead=True)
    reply.accept(ord("a"))
    reply.accept(ord("b"))
    assert not reply.ready
    later.jobs.pop()()
    assert reply.ready
    assert bytes(reply.certain()) == b"cdef"


def test_a_thought_is_free_and_does_not_end_the_reply() -> None:
    reply = bound('root ::= "yes"', after="</think>")
    for byte in b"hmm, {yes} </thin </think":
        assert allowed(reply) == set(range(BYTES.vocab_size)) - {END}
        assert not reply.complete
        reply.accept(byte)
    reply.accept(ord(">"))
    for byte in b"yes":
        assert allowed(reply) == {byte}
        reply.accept(byte)
    assert reply.complete


@pytest.mark.parametrize(
    ("prompt", "written", "mark"),
    [
        ("<|im_start|>assistant\n<think>\n", "", "</think>"),
        ("<|im_start|>assistant\n<think>\n", "I thought", "</think>"),
        ("<|im_start|>assistant\n<think>\n", "I thought\n</think>\n\n{", ""),
        ("<|im_start|>assistant\n", "", ""),
    ],
)
def test_a_template_that_opens_a_thought_has_it_ended(prompt: str, written: str, mark: str) -> None:
    template = "{{ messages }}<|im_start|>assistant\n<think>\n{# </think> #}"
    assert detect(template).thought_end(prompt, written) == mark
    assert detect("{{ messages }}").thought_end(prompt, written) == ""


def test_steps_that_take_long_are_computed_beside_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(constraint, "SLOW_SECONDS", -1.0)
    later = Later()
    reply = bound('root ::= "abcd"', beside=later)
    assert reply.ready
    reply.accept(ord("a"))  # its duration is known then
    assert reply.ready
    reply.accept(ord("b"))
    assert not reply.ready
    later.jobs.pop()()
    assert reply.ready
    assert allowed(reply) == {ord("c")}


def test_what_becomes_too_complex_is_refused_by_name() -> None:
    reply = bound('root ::= ((((("a"?){50}){50}){50}){50}){50}')

    def write() -> None:
        for _ in range(1000):
            assert ord("a") in (allowed(reply) or ())
            reply.accept(ord("a"))

    with pytest.raises(RequestError) as caught:
        write()
    assert caught.value.param == "grammar"
    assert "\n" not in caught.value.message
