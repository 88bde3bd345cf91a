"""Text ↔ tokens of old GGML models. Pure Python.

ctransformers has a tokenizer for them, which overruns its buffer on text that is not ASCII, its
stack on long words, and takes what a person typed for special tokens. What it promises is done here
instead: the same words, and in each word the longest token first.
"""

import logging
import re
from collections.abc import Callable, Collection

log = logging.getLogger(__name__)

# GPT-2's words, as the library cuts them: by the bytes, so that letters are ASCII's.
_WORD = re.compile(rb"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")
# No word by itself, so text that looks like one never becomes one.
_CONTROL = re.compile(rb"<\|\w+\|>|<fim[-_]\w+>|### (?:End|Instruction:|Response:)\n?")
_ENDS = (b"<|endoftext|>", b"<|im_end|>", b"<|end|>", b"### End")

STARCHAT = """{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + \
message['content'] + '<|end|>\\n' }}{% endfor %}{{ '<|assistant|>\\n' }}"""
DOLLY = """{{ 'Below is an instruction that describes a task. Write a response that \
appropriately completes the request.\\n\\n' }}{% for message in messages %}\
{{ {'user': '### Instruction:\\n', 'assistant': '### Response:\\n'}.get(message['role'], '') + \
message['content'] + '\\n\\n' }}{% endfor %}{{ '### Response:\\n' }}"""
PLAIN = """{% for message in messages %}{{ message['role'] | capitalize + ': ' + \
message['content'] + '\\n\\n' }}{% endfor %}{{ 'Assistant:' }}"""
"""For models that were trained on no chats."""


class Vocabulary:
    """The tokens of one model. Never changes, so any thread may ask."""

    def __init__(
        self,
        texts: list[bytes],
        *,
        default_end: int,
        encode: Callable[[bytes], list[int]] | None = None,
    ) -> None:
        """
        Args:
            texts: of every token, in order.
            default_end: ends a reply if the vocabulary has no token that says so.
            encode: tokens of a word, where the longest first is not the model's way.
        """
        special = {t: text for t, text in enumerate(texts) if _CONTROL.fullmatch(text)}
        self._special_tokens = {text: token for token, text in special.items()}
        self._pattern = re.compile(
            b"|".join(map(re.escape, sorted(self._special_tokens, key=len, reverse=True)))
            or b"(?!)"
        )
        self._pieces = [b"" if token in special else text for token, text in enumerate(texts)]
        self._tokens = {text: token for token, text in enumerate(self._pieces) if text}
        self._longest = [0] * 256
        """By the first byte, so that a byte without a token costs nothing."""
        for text in self._tokens:
            self._longest[text[0]] = max(self._longest[text[0]], len(text))
        self._encode = encode
        ends = {self._special_tokens[text] for text in _ENDS if text in self._special_tokens}
        self._ends = ends or {default_end}
        self.eos = special.get(min(self._ends), b"").decode("utf-8", "replace")
        """The text of the token that ends a reply; empty if it has none."""

    @property
    def special_token_texts(self) -> list[str]:
        """The texts of all special tokens."""
        return [text.decode("utf-8", "replace") for text in self._special_tokens]

    @property
    def chat_template(self) -> str | None:
        """What fits the special tokens; None: ChatML."""
        if b"<|im_start|>" in self._special_tokens:
            return None
        if b"<|assistant|>" in self._special_tokens and b"<|end|>" in self._special_tokens:
            return STARCHAT
        if any(text.startswith(b"### Response:") for text in self._special_tokens):
            return DOLLY
        return PLAIN

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        """Tokens of a text; `parse_special`: special tokens in it are meant as such.

        Bytes that no token has are left out, with a line in the log.
        """
        data = text.encode("utf-8")
        tokens: list[int] = []
        at = lost = 0
        for match in self._pattern.finditer(data) if parse_special else ():
            lost += self._add_words(data[at : match.start()], tokens)
            tokens.append(self._special_tokens[match.group()])
            at = match.end()
        lost += self._add_words(data[at:], tokens)
        if lost:
            log.warning("this model has no tokens for %d bytes of a prompt: left out", lost)
        return tokens

    def token_to_bytes(self, token: int) -> bytes:
        """The bytes of a token's text; none for special tokens."""
        return self._pieces[token]

    @property
    def ends(self) -> Collection[int]:
        """The tokens that the model ends its reply with."""
        return self._ends

    def is_end_of_generation(self, token: int) -> bool:
        """Whether the model ends its reply with this token."""
        return token in self._ends

    def _add_words(self, data: bytes, tokens: list[int]) -> int:
        """Append the tokens; return how many bytes have none."""
        lost = 0
        for match in _WORD.finditer(data):
            if self._encode:
                tokens += self._encode(match.group())
            else:
                lost += self._add_word(match.group(), tokens)
        return lost

    def _add_word(self, word: bytes, tokens: list[int]) -> int:
        at = lost = 0
        while at < len(word):
            for end in range(min(len(word), at + self._longest[word[at]]), at, -1):
                token = self._tokens.get(word[at:end])
                if token is not None:
                    tokens.append(token)
                    at = end
                    break
            else:
                lost += 1
                at += 1
        return lost
