"""GBNF grammars have the same meaning as in llama.cpp, by llama.cpp's own tests."""

import pytest
from llguidance import LLMatcher, LLTokenizer

from appliance.worker.constraints import check
from appliance.worker.constraints.gbnf import MAX_DEPTH, MAX_RULES, to_lark
from tests.worker.constraints import llama_cases

BYTES = LLTokenizer("byte")


def lark(text: str) -> str:
    return to_lark(text, {"<think>": 7}.get, [0, 2])


def fits(grammar: str, text: str) -> bool:
    matcher = LLMatcher(BYTES, grammar, log_level=0, limits=check.limits())
    assert not matcher.is_error(), matcher.get_error()
    data = list(text.encode())
    return matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting()


CASES = [case for case in llama_cases.matched("test_grammar") if "<[" not in case.text]
"""Cases with tokens need a vocabulary that only llama.cpp's tests have."""


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_fits_in_llama_cpp_fits_here_and_nothing_else(case: llama_cases.Case) -> None:
    grammar = lark(case.text)
    assert [text for text in case.fits if not fits(grammar, text)] == []
    assert [text for text in case.differs if fits(grammar, text)] == []


def test_llama_cpp_has_a_dozen_of_them() -> None:
    assert len(CASES) >= 12


@pytest.mark.parametrize(
    ("grammar", "text"),
    [
        (r'root ::= "\u0041\x42\U0001F600\n\"é"', 'AB😀\n"é'),
        (r"root ::= .{3} [\x00]", 'a\n"\x00'),
        (r'root ::= [^"\\\]/]+ "/" [-a] [a-] [\x2d-\x2f]', "ab/-a."),
        ('root ::= [a-z]* "b"', "ab"),
        ('root ::= ("a" | "b"\n | "c" # a remark\n)+', "abc"),
        ('root ::= ""', ""),
        ("root ::= | a\na ::= b\nb ::= [x]", "x"),
        ('root ::= a\na ::= "x" a |', "xxx"),
        ('root ::= a\na ::= a "x" | "y"', "yxx"),
        ('start ::= "x"\nroot ::= start foo-bar foo_bar\nfoo-bar ::= "1"\nfoo_bar ::= "2"', "x12"),
        ('WS ::= " "\nws ::= "_"\nroot ::= WS ws', " _"),
        ('root ::= (root "x"){0,2} | "y"', "yx"),
        ('root ::= "a"{2}?', "aa"),
        ('root ::= "a" {2 , 3 }', "aaa"),
        ("root ::= " + "(" * MAX_DEPTH + '"a"' + ")" * MAX_DEPTH, "a"),
        ('root ::= ((((("a"?){50}){50}){50}){50}){50}', "aaa"),
        ('root ::= "' + "a" * 20_000 + '"', "a" * 20_000),
    ],
)
def test_the_converted_grammar_accepts_exactly_the_text(grammar: str, text: str) -> None:
    assert fits(lark(grammar), text)
    assert not fits(lark(grammar), text + "\x00")


@pytest.mark.parametrize(
    ("grammar", "why"),
    [
        ("root ::= missing", "no rule missing"),
        ('start ::= "a"', "no rule root"),
        ("this is no grammar", "::="),
        ('root ::= "a', "unexpected end"),
        ('root ::= "\\q"', "unknown escape"),
        ("root ::= []", "without a character"),
        ("root ::= [z-a]", "empty"),
        ('root ::= "a"{3,2}', "fewer"),
        ('root ::= "a"{9999999999}', "repetitions"),
        ("root ::= (", "expected )"),
        ("root ::= a)\na ::= [a]", "end of the rule"),
        ("root ::= \\", "end of the rule"),
        ("root ::= [a]\nroot ::= [b]", "two rules"),
        ("root ::= " + "(" * 20_000, f"more than {MAX_DEPTH} deep"),
        ("root ::= r0\n" + "".join(f"r{i} ::= r{i + 1}\n" for i in range(9_000)), str(MAX_RULES)),
        ('root ::= "\\uD800"', "no character"),
        ('root ::= "\ud800"', "half a character"),
        ("root ::= <nothing>", "no token"),
        ("root ::= <[", "expected a token"),
        ("%llguidance {}\nstart: /a/", "expected a name"),
        ("", "no rule root"),
    ],
)
def test_what_is_none_is_refused_with_the_reason(grammar: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace(")", r"\)").replace(".", r"\.")):
        lark(grammar)


def test_tokens_can_be_named() -> None:
    grammar = lark("root ::= <think> (!<[8]>)* <[8]>")
    assert "<[7]>" in grammar
    assert "<[^0,2,8]>" in grammar  # an end-of-reply token never matches "any token"
    matcher = LLMatcher(BYTES, grammar, log_level=0)
    assert matcher.try_consume_tokens([7, 65, 66, 8]) == 4
    assert matcher.is_accepting()
