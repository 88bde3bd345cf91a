"""A prompt that has a reply's text in it gets the reply's tokens, and nothing else changes."""

import random

import pytest

from appliance.worker.scheduler.prompt_tokens import PromptTokens, Scope
from appliance.worker.scheduler.written_tokens import WrittenTokens

CONTROL = {1: "<end>", 2: "<user>", 3: "<assistant>"}
PIECES = ["", *CONTROL.values(), *"abcdefgh\n }", "ab", "cd", "abcd", "ef", "efgh", "}\n", "\n\n"]
WORDS = {text: token for token, text in enumerate(PIECES) if token > len(CONTROL)}
ME = Scope(owner="me")


def piece(token: int) -> bytes:
    return b"\xff%d" % token if token in CONTROL else PIECES[token].encode()


def tokenize(text: str) -> list[int]:
    """The longest tokens first, as a tokenizer does it that merges all it can."""
    found = []
    while text:
        word = max((word for word in WORDS if text.startswith(word)), key=len)
        found.append(WORDS[word])
        text = text[len(word) :]
    return found


def letters(text: str) -> list[int]:
    """As a model may write it: the same text, letter by letter."""
    return [WORDS[letter] for letter in text]


def text_of(tokens: PromptTokens) -> bytes:
    return b"".join(map(piece, tokens))


def question(text: str, scope: Scope = ME) -> PromptTokens:
    return PromptTokens([2, *tokenize(text), 1, 3], scope)


def after(prompt: PromptTokens, reply: str, text: str, scope: Scope = ME) -> PromptTokens:
    """The next prompt as the tokenizer has it."""
    return PromptTokens([*prompt, *tokenize(reply), 1, 2, *tokenize(text), 1, 3], scope)


def adapted(written: WrittenTokens, prompt: PromptTokens) -> PromptTokens:
    found = written.adapted(prompt, piece, tokenize)
    assert text_of(found) == text_of(prompt)
    return found


def wrote(written: WrittenTokens, prompt: PromptTokens, reply: list[int]) -> PromptTokens:
    whole = PromptTokens([*prompt, *reply], prompt.scope)
    written.add(whole, len(prompt))
    return whole


def test_a_chat_goes_on_with_the_tokens_of_its_replies() -> None:
    """Whatever way the model wrote them, all that was computed is found again."""
    draw = random.Random(5)
    written = WrittenTokens()
    canonical = held = question("abcdabcd")
    for _ in range(30):
        reply = "".join(draw.choice(["abcd", "ef", "g", "efgh", "\n", "}"]) for _ in range(9))
        ids = letters(reply) if draw.random() < 0.7 else tokenize(reply)
        whole = wrote(written, held, ids)
        canonical = after(canonical, reply, "".join(draw.choices("abcdefgh", k=6)))
        held = adapted(written, canonical)
        assert whole.common_prefix(held) == len(whole)


def test_a_reply_that_ends_inside_a_token() -> None:
    """As a forced call does, behind which the template writes more."""
    written = WrittenTokens()
    prompt = question("abcd")
    whole = wrote(written, prompt, tokenize("abcd}"))
    following = PromptTokens([*prompt, *tokenize("abcd}\nef"), 1, 2, *tokenize("ab"), 1, 3], ME)
    assert whole.common_prefix(following) == len(whole) - 1
    assert whole.common_prefix(adapted(written, following)) == len(whole)


def test_a_reply_that_begins_inside_a_token() -> None:
    """The prompt ends with a line feed, and so does the reply begin."""
    written = WrittenTokens()
    prompt = PromptTokens([2, *tokenize("ab"), 1, 3, *tokenize("\n")], ME)
    whole = wrote(written, prompt, tokenize("\nabcd"))
    following = PromptTokens([2, *tokenize("ab"), 1, 3, *tokenize("\n\nabcd"), 1, 2, 1], ME)
    assert whole.common_prefix(adapted(written, following)) == len(whole)


@pytest.mark.parametrize(
    "prompt",
    [
        pytest.param(question("abcd"), id="the same question"),
        pytest.param(after(question("abcd"), "efgh", "g"), id="another reply"),
        pytest.param(question("abcdefgh"), id="another question that begins so"),
        pytest.param(
            after(question("abcd"), "abcd", "g", Scope(owner="another")), id="somebody else's"
        ),
    ],
)
def test_others_stay_as_they_are(prompt: PromptTokens) -> None:
    written = WrittenTokens()
    whole = wrote(written, question("abcd"), letters("abcd"))
    assert len(whole) > whole.common_prefix(prompt)
    assert list(adapted(written, prompt)) == list(prompt)


def test_what_people_write_is_tokenized_as_a_whole() -> None:
    """A question that was asked in other tokens is none that the model wrote."""
    written = WrittenTokens()
    odd = PromptTokens([2, *letters("abcd"), 1, 3], ME)
    wrote(written, odd, tokenize("ef"))
    prompt = after(question("abcd"), "ef", "g")
    assert list(adapted(written, prompt)) == list(prompt)


def test_a_control_token_is_no_text() -> None:
    written = WrittenTokens()
    prompt = question("abcd")
    wrote(written, prompt, [*letters("ab"), 1, *letters("cd")])
    following = after(prompt, "abcd", "g")
    found = adapted(written, following)
    assert list(found)[len(prompt) + 2 :][:1] != [1]


def test_a_session_that_is_deleted_is_forgotten() -> None:
    written = WrittenTokens()
    chat = Scope(owner="me", session="chat")
    prompt = question("abcd", chat)
    wrote(written, prompt, letters("abcd"))
    following = after(prompt, "abcd", "g", chat)
    assert list(adapted(written, following)) != list(following)
    written.forget("chat")
    assert list(adapted(written, following)) == list(following)


def test_a_stored_chat_is_known_after_a_restart() -> None:
    first, written = WrittenTokens(), WrittenTokens()
    prompt = question("abcd")
    whole = wrote(first, prompt, letters("abcd"))
    written.add_stored([whole])
    assert whole.common_prefix(adapted(written, after(prompt, "abcd", "g"))) == len(whole)
