"""What a worker needs of the native code that runs a model."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from appliance.engine.protocol import Load, ModelInfo
from appliance.engine.types import SamplingParams
from appliance.worker.constraints.compiler import GrammarVocabulary
from appliance.worker.constraints.constraint import Constraint
from appliance.worker.runners.checkpoints import Checkpointing, Cut, State


class NoRoom(Exception):
    """The KV cache has no cells for this batch; nothing was changed."""


class DecodeFailed(Exception):
    """The batch could not be computed; what its slots hold is not to be trusted."""


class DeviceLost(Exception):
    """A GPU computes no more, and what it holds is gone: the process has to end."""


def one_template(usual: str | None, for_tools: str | None) -> str | None:
    """A chat template out of the two that some files carry: one is for chats with tools."""
    if usual is None or for_tools is None:
        return usual or for_tools
    parts = [part.removesuffix("\n") for part in (for_tools, usual)]
    return "{% if tools %}" + "{% else %}".join(parts) + "{% endif %}"


@dataclass(slots=True)
class Batch:
    """Tokens of one `llama_decode`, entry by entry."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    """Entries whose logits are wanted."""


class SlotBytes(NamedTuple):
    """What a slot takes of the KV cache."""

    fixed: int
    """Whatever its length."""
    each: int
    """For each token."""
    window: int = 0
    """Tokens that layers look back which have room for no more; 0: none do."""
    each_in_window: int = 0
    """For each of those."""

    def of(self, cells: int, lengths: list[int]) -> int:
        """Slots of those lengths, which together hold this many distinct cells."""
        short = sum(min(length, self.window) for length in lengths) * self.each_in_window
        return self.fixed * len(lengths) + self.each * cells + short


class KvMemory(Protocol):
    """The KV cache, as the runner offers it."""

    @property
    def slot_bytes(self) -> SlotBytes: ...

    @property
    def checkpointing(self) -> Checkpointing | None:
        """What helps it to cut; None: it can be cut anywhere, or nowhere."""

    def min_length(self, slot: int) -> int:
        """The fewest tokens that a slot, as it is now, can be cut to without a checkpoint; all of
        a recurrent model, whose state stands as it is or not at all."""

    def min_saved_length(self, length: int) -> int:
        """The same for a saved state of this many tokens."""

    def truncate(self, slot: int, length: int, cut: Cut | None = None) -> int:
        """Keep the first `length` tokens of a slot; return how many are left, or 0."""

    def copy_prefix(self, source: int, target: int, length: int, cut: Cut | None = None) -> bool:
        """Give the empty slot `target` the first `length` tokens of `source`."""

    def checkpoint(self, slot: int) -> State:
        """Of a slot as it is now; only where there is `checkpointing`. Empty: it can't be had."""

    def save(self, slot: int) -> State:
        """The state of a slot. Empty: it can't be had."""

    def restore(self, slot: int, state: State) -> bool:
        """Put a saved state into an empty slot; False: it does not fit or is damaged."""


class Sampler(Protocol):
    """Chooses tokens for one sequence; owns native memory until closed."""

    mirostat_mu: float | None
    """What mirostat keeps from one token to the next; None: it isn't used."""

    @property
    def ready(self) -> bool:
        """`sample` won't wait for anything but the processor."""

    @property
    def groups(self) -> Sequence[int]:
        """Of what was there of the reply when the sampler was made: how many tokens each `sample`
        gave."""

    def sample(self, output: int) -> list[int]:
        """The next token from the logits of the batch's entry `output`, and those that what the
        reply keeps to leaves no choice about; accepted at once. Empty: it lets nothing follow.

        Raises:
            RequestError: the reply can't go on as it was asked for.
        """

    def logprobs(self, output: int, token: int, top: int) -> list[tuple[int, float]]:
        """The sampled token, then the `top` likeliest, with their natural log probabilities."""

    def close(self) -> None:
        """Free the native memory."""


class FillInTokens(NamedTuple):
    """The tokens of a model that fills in text."""

    prefix: int
    suffix: int
    middle: int
    repository: int
    """-1: it has none, as in the next."""
    file: int


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """What a model's embeddings are."""

    dimensions: int
    longest: int
    """Tokens of an input, at most."""
    ranks: bool = False
    """It compares two texts, and gives one number for them."""


class Embedder(Protocol):
    """A second context, which makes vectors. Slots are its own. Belongs to the step loop."""

    n_batch: int
    """Tokens of one batch."""
    n_slots: int
    """Inputs that are computed together."""
    n_cells: int
    """Tokens of the inputs that are computed together."""
    whole: bool
    """An input goes into one batch as a whole: its tokens look at those that follow, too."""

    def compute(self, batch: Batch) -> None:
        """Compute a batch; `outputs` don't matter.

        Raises:
            DecodeFailed: it could not be computed.
        """

    def vector(self, slot: int) -> bytes:
        """The vector of an input that was computed to its end; see `protocol.Embedded`."""

    def clear(self, slot: int) -> None:
        """Forget what a slot holds."""

    def close(self) -> None:
        """Free everything."""


class Runner(KvMemory, Protocol):
    """One loaded model with one context. Methods belong to the step loop, except that `tokenize`,
    `token_to_bytes`, `sampler` and the properties may be called from the intake thread at the same
    time."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def fingerprint(self) -> str:
        """Everything that saved states depend on: file, KV types, build; short and safe as a
        file name."""

    @property
    def n_cells(self) -> int:
        """Tokens that the KV cache holds, in all, or of each slot when partitioned."""

    @property
    def partitioned(self) -> bool:
        """Whether slots have cells of their own, rather than sharing."""

    @property
    def generates(self) -> bool:
        """Whether it writes text; some models give embeddings alone."""

    @property
    def threads(self) -> tuple[int, int]:
        """The most threads that make sense for decode and for prefill; 0, 0: not ours to choose."""

    def use_threads(self, count: int) -> None:
        """From the next `decode` on."""

    @property
    def least_together(self) -> int:
        """Tokens of a reply from which on they are computed sooner together than one by one."""

    @property
    def n_vocab(self) -> int:
        """Tokens are 0 … n_vocab-1."""

    @property
    def chat_template(self) -> str | None:
        """The model's own template, if it carries one; see `one_template`."""

    @property
    def bos(self) -> str: ...

    @property
    def eos(self) -> str: ...

    def special_token_texts(self) -> list[str]:
        """The texts of all tokens that `parse_special` is about: control tokens. Others that were
        added to a vocabulary, such as runs of blanks, are found in any text."""

    @property
    def cuts(self) -> "re.Pattern[str] | None":
        """Where a text can be cut so that the tokens of its parts are the whole's; see `slices`."""

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        """Tokens of a text, none added; `parse_special`: special tokens in it are such."""

    def tokenize_with_special(self, text: str) -> list[int]:
        """Tokens of a text, with the special tokens that the model wants before and behind it;
        special tokens in it are text."""

    def with_bos(self, tokens: list[int]) -> list[int]:
        """The tokens with the model's start token in front, if it wants one and has none yet."""

    def token_to_bytes(self, token: int) -> bytes:
        """The bytes of a token's text; none for special tokens."""

    def token_text(self, token: int) -> bytes:
        """The bytes of a token's text, also of special tokens."""

    @property
    def fill_in(self) -> FillInTokens | None:
        """None: it can't."""

    @property
    def pair_template(self) -> str | None:
        """How the model wants two texts that are to be compared: `{query}` and `{document}` stand
        for them."""

    def pair(self, query: str, text: str) -> list[int]:
        """Tokens of the two without such a template."""

    def preserve_tokens(self, texts: Collection[str]) -> None:
        """From now on `token_to_bytes` gives the text of these special tokens, as far as the model
        has them."""

    def is_end_of_generation(self, token: int) -> bool:
        """Whether the token ends the reply."""

    @property
    def ends(self) -> Collection[int]:
        """All tokens that end a reply; in a prompt, messages end with them."""

    def grammar_vocabulary(self) -> GrammarVocabulary:
        """The vocabulary for constraints.

        Raises:
            RequestError: this runner's replies keep to none.
        """

    def sampler(
        self,
        params: SamplingParams,
        seed: int,
        prompt: Sequence[int],
        constraint: Constraint | None = None,
        written: Sequence[int] = (),
    ) -> Sampler:
        """A sampler chain for a sequence with the tokens `prompt`, whose reply goes on after
        `written`: as if it had chosen those itself.

        Raises:
            RequestError: the parameters cannot be used.
        """

    def decode(self, batch: Batch) -> None:
        """Compute a batch.

        Raises:
            NoRoom: no cells; make room and try again.
            DeviceLost: the worker is of no use any more.
            DecodeFailed: anything else.
        """

    def embedding_model(self) -> EmbeddingModel:
        """What its embeddings are.

        Raises:
            RequestError: it gives none.
        """

    def embedder(self, longest: int) -> Embedder:
        """An embedder for inputs of up to this many tokens.

        Raises:
            LoadError: there is no memory for it.
        """

    def close(self) -> None:
        """Free everything."""


RunnerFactory = Callable[[Load, Callable[[float, tuple[str, ...]], None]], Runner]
"""Loads a model and reports progress (0 … 1) and the GPUs it is loaded on. Raises `LoadError`."""


class LoadError(Exception):
    """The model cannot be loaded; the message is for a person."""
