"""What a worker asks of the native code that runs a model."""

from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from appliance.engine.prefix_cache import Memory
from appliance.engine.protocol import Load, ModelInfo, SamplingParams
from appliance.engine.scheduler import Batch


class NoRoom(Exception):
    """The KV cache has no cells for this batch; nothing was changed."""


class DecodeFailed(Exception):
    """The batch could not be computed; what its slots hold is not to be trusted."""


class Sampler(Protocol):
    """Chooses tokens for one sequence; owns native memory until closed."""

    def sample(self, output: int) -> int:
        """The next token from the logits of the batch's entry `output`, accepted at once."""

    def logprobs(self, output: int, token: int, top: int) -> list[tuple[int, float]]:
        """The sampled token, then the `top` likeliest, with their natural log probabilities."""

    def close(self) -> None:
        """Free the native memory."""


class Runner(Memory, Protocol):
    """One loaded model with one context. Methods belong to the step loop, except that `tokenize`,
    `piece`, `sampler` and the properties may be called from the intake thread meanwhile."""

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
    def n_vocab(self) -> int:
        """Tokens are 0 … n_vocab-1."""

    @property
    def chat_template(self) -> str | None:
        """The model's own template, if it carries one."""

    @property
    def bos(self) -> str: ...

    @property
    def eos(self) -> str: ...

    def control_texts(self) -> list[str]:
        """The texts of all control tokens."""

    def tokenize(self, text: str, *, control: bool) -> list[int]:
        """Tokens of a text, nothing added; `control`: control tokens in it are meant as such."""

    def with_bos(self, tokens: list[int]) -> list[int]:
        """The tokens with the model's start token in front, if it wants one and has none yet."""

    def piece(self, token: int) -> bytes:
        """The bytes of a token's text; none for control tokens."""

    def reveal(self, texts: Collection[str]) -> None:
        """From now on `piece` gives the text of these control tokens, if the model has them."""

    def ends(self, token: int) -> bool:
        """Whether the model ends its reply with this token."""

    def sampler(self, params: SamplingParams, seed: int, recent: Iterable[int]) -> Sampler:
        """A sampler chain for a sequence whose last tokens are `recent`.

        Raises:
            RequestError: the parameters cannot be used.
        """

    def decode(self, batch: Batch) -> None:
        """Compute a batch.

        Raises:
            NoRoom: no cells; make room and try again.
            DecodeFailed: anything else.
        """

    def close(self) -> None:
        """Free everything."""


RunnerFactory = Callable[[Load, Callable[[float], None]], Runner]
"""Loads a model, telling progress (0 … 1). Raises `LoadError`."""


class LoadError(Exception):
    """The model cannot be loaded; the message is for a person."""
