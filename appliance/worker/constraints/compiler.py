"""Constraints made of what requests ask for: checked in another process, then for the vocabulary.

Lives on the intake's threads, and computes on a thread of its own.
"""

import dataclasses
import hashlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from appliance.errors import RequestError
from appliance.system import memory
from appliance.worker.constraints import check, gbnf, json_schema, marked, patterns
from appliance.worker.constraints.constraint import Constraint

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

LARGE_SECONDS = 0.05
"""Processor time of a grammar that probably took much memory, which is then returned."""
TRIM_EVERY = 100
"""Grammars after which memory goes back to the system in any case."""
REMEMBERED = 256
"""Grammars known to be good: agents send the same again and again."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reply is to keep to."""

    kind: Literal["json_schema", "grammar", "regex", "marked"]
    """`marked`: see that module."""
    text: str
    param: str
    """The field that it came in."""
    as_rendered: bool = False
    """Of a schema: see `json_schema.AS_RENDERED`."""
    after: str = ""
    """See `Constraint`."""
    optional: bool = False
    """See `Constraint`."""
    begun: str = ""
    """What the reply begins with: it is there already."""
    parts: tuple[tuple[str, str], ...] = ()
    """Fields whose schemas went into `text`, with their schemas: the one at fault is named."""


@dataclass(frozen=True, slots=True)
class GrammarVocabulary:
    """A model's tokens for llguidance."""

    tokens: list[bytes]
    """The text of each; special ones begin with 0xFF, which no text has."""
    ends: list[int]
    """Tokens that end a reply; at least one."""
    vocab: int
    """Address of llama.cpp's vocabulary."""
    tokenize: int
    """Address of its function `llama_tokenize`."""


class VocabularySource(Protocol):
    """A runner's vocabulary."""

    def grammar_vocabulary(self) -> GrammarVocabulary:
        """Made once.

        Raises:
            RequestError: this runner keeps to no grammar.
        """

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]: ...

    def token_to_bytes(self, token: int) -> bytes: ...


class ConstraintCompiler:
    """For one model."""

    def __init__(self, source: VocabularySource, refusal: Callable[[str], str | None]) -> None:
        """`refusal`: `check.refusal` in another process."""
        self._source = source
        self._refusal = refusal
        self._good: dict[bytes, None] = {}
        self._lock = threading.Lock()
        self._vocabulary: GrammarVocabulary | None = None
        self._control: frozenset[int] = frozenset()
        self._n_vocab = 0
        self._tokenizer: LLTokenizer | None = None
        self._work: _Thread | None = None
        self._beside = ThreadPoolExecutor(1, "constraints", initializer=_step_back)

    def compile(self, wanted: Wanted, *, ahead: bool = True) -> Constraint:
        """Takes milliseconds, or seconds for what is refused in the end.

        `ahead`: see `Constraint`.

        Raises:
            RequestError: it can't be kept to; `param` is the field it came in.
            Unavailable: the machine is too busy.
        """
        with self._lock:
            if self._work is None:
                self._work = _Thread()
            work = self._work
        return work.run(lambda: self._compile_parts(wanted, ahead=ahead))

    def _compile_parts(self, wanted: Wanted, *, ahead: bool) -> Constraint:
        try:
            return self._compile(wanted, ahead=ahead)
        except RequestError:
            for param, text in wanted.parts:
                self._compile(Wanted("json_schema", text, param), ahead=ahead)
            raise

    def _compile(self, wanted: Wanted, *, ahead: bool) -> Constraint:
        kind = "regular expression" if wanted.kind == "regex" else "schema"
        what = "the grammar" if wanted.kind == "grammar" else f"the {kind} in {wanted.param}"
        try:
            vocabulary = self._vocabulary or self._read_vocabulary()
            grammar = self._grammar(wanted, vocabulary)
            self._check(grammar)
            return Constraint(
                self._matcher(vocabulary, grammar, wanted.begun),
                n_vocab=self._n_vocab,
                ends=vocabulary.ends,
                token_to_bytes=self._source.token_to_bytes,
                param=wanted.param,
                beside=self._beside,
                after=wanted.after,
                optional=wanted.optional,
                ahead=ahead,
            )
        except ValueError as ex:
            message = f"{what} cannot be used: {_printable(str(ex))}"
            raise RequestError(message, param=wanted.param) from ex
        except RequestError as ex:
            message = f"{what} cannot be used: {ex.message}"
            raise RequestError(message, param=wanted.param) from ex

    def _read_vocabulary(self) -> GrammarVocabulary:
        self._vocabulary = vocabulary = self._source.grammar_vocabulary()
        tokens = enumerate(vocabulary.tokens)
        self._control = frozenset(n for n, piece in tokens if piece.startswith(b"\xff"))
        return vocabulary

    def _check(self, grammar: str) -> None:
        digest = hashlib.sha256(grammar.encode()).digest()
        if self._good.pop(digest, ...) is ...:
            refusal = self._refusal(grammar)
            if refusal is not None:
                raise ValueError(refusal)
        self._good[digest] = None
        if len(self._good) > REMEMBERED:
            self._good.pop(next(iter(self._good)))

    def _grammar(self, wanted: Wanted, vocabulary: GrammarVocabulary) -> str:
        from llguidance import LLMatcher

        if wanted.kind == "json_schema":
            schema = json_schema.prepared(wanted.text)
            options = json_schema.AS_RENDERED if wanted.as_rendered else json_schema.COMPACT
            return LLMatcher.grammar_from_json_schema(schema, overrides=options)
        if wanted.kind == "regex":
            return LLMatcher.grammar_from_regex(patterns.whole(wanted.text))
        if wanted.kind == "marked":
            nodes = json.loads(wanted.text)
            return LLMatcher.grammar_from_lark(marked.to_lark(nodes, self._control_tokens))
        return LLMatcher.grammar_from_lark(
            gbnf.to_lark(wanted.text, self._token_of, vocabulary.ends)
        )

    def _control_tokens(self, text: str) -> list[int | str]:
        """A text as the model has it: its control tokens, and the text between them."""
        found: list[int | str] = []
        plain = b""
        for token in self._source.tokenize(text, parse_special=True):
            if token in self._control:
                found += [plain.decode("utf-8", "replace"), token]
                plain = b""
            else:
                plain += self._source.token_to_bytes(token)
        found = [part for part in [*found, plain.decode("utf-8", "replace")] if part != ""]
        # Some vocabularies put a space before any text.
        read = "".join(part for part in found if isinstance(part, str))
        return found if not read or read in text or len(found) > 1 else [text]

    def _token_of(self, text: str) -> int | None:
        tokens = self._source.tokenize(text, parse_special=True)
        return tokens[0] if len(tokens) == 1 else None

    def _matcher(self, vocabulary: GrammarVocabulary, grammar: str, begun: str) -> "LLMatcher":
        tokenizer = self._made(vocabulary)
        matcher = check.matcher(tokenizer, grammar)
        if begun and not matcher.consume_tokens(tokenizer.tokenize_str(begun)):
            raise ValueError("the reply as it begins doesn't keep to it")
        return matcher

    def _made(self, vocabulary: GrammarVocabulary) -> "LLTokenizer":
        if self._tokenizer is None:
            from llguidance import LLTokenizer

            self._tokenizer = LLTokenizer.from_llamacpp(  # type: ignore[attr-defined]
                tokens=vocabulary.tokens,
                vocab_ptr=vocabulary.vocab,
                tokenize_fptr=vocabulary.tokenize,
                eos_token=vocabulary.ends,
            )
            self._n_vocab = len(vocabulary.tokens)
            # It has its own copy.
            self._vocabulary = dataclasses.replace(vocabulary, tokens=[])
            memory.trim()
        return self._tokenizer


class _Thread:
    """Computes one thing after the other, with a large stack."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Constraint], Future[Constraint]]] = (
            queue.SimpleQueue()
        )
        thread = threading.Thread(target=self._loop, name="grammars", daemon=True)
        check.with_stack(2 * check.STACK_BYTES, thread)

    def run(self, job: Callable[[], Constraint]) -> Constraint:
        """Wait for the result of `job`; raises what it does."""
        future: Future[Constraint] = Future()
        self._jobs.put((job, future))
        return future.result()

    def _loop(self) -> None:
        count = 0
        while True:
            job, future = self._jobs.get()
            began = time.thread_time()
            try:
                future.set_result(job())
            except Exception as ex:  # noqa: BLE001 - raised where it is waited for
                future.set_exception(ex)
            del job, future
            count += 1
            if time.thread_time() - began > LARGE_SECONDS or not count % TRIM_EVERY:
                memory.trim()


def _printable(reason: str) -> str:
    """In one line: reasons quote what was sent."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in reason
    )


def _step_back() -> None:
    """Steps that take long are not to take the processor from the model's; Linux knows the
    priority of a thread."""
    if sys.platform == "linux":
        os.nice(10)
