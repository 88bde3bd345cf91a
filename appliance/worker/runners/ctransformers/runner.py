"""Old GGML files – GPT-2, GPT-J, GPT-NeoX, MPT, StarCoder, Dolly, Replit – through ctransformers.
The only file that imports it.

One sequence at a time. Of the library's `LLM` the C functions are used and not the methods around
them, which keep the context in a list of their own, size a buffer by characters where bytes are
meant, and warn when they are asked to drop tokens.
"""

import ctypes
import functools
import platform
from collections import deque
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from appliance.engine.protocol import PROCESSOR, AssessedDevice, Load, ModelInfo
from appliance.engine.types import SamplingParams
from appliance.errors import RequestError
from appliance.system.cpu import physical_cores
from appliance.worker.constraints.compiler import GrammarVocabulary
from appliance.worker.constraints.constraint import Constraint
from appliance.worker.runners.base import (
    Batch,
    DecodeFailed,
    Embedder,
    EmbeddingModel,
    LoadError,
    RunnerFactory,
    SlotBytes,
)
from appliance.worker.runners.checkpoints import Cut, State
from appliance.worker.runners.ctransformers.model_file import Family, family_of, read_header
from appliance.worker.runners.ctransformers.vocabulary import Vocabulary
from appliance.worker.runners.seeds import seed_at

EVAL_BATCH = 8
"""Tokens of one native computation, the library's default: some families have no more scratch
memory than that takes, and die of want."""
PENALTY_LAST_N = 64
"""Tokens that `repeat_penalty` looks back on."""
COLDEST = 1e-6
"""Temperatures below it take the likeliest token: the library divides by them."""
REFUSED = (
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "ignore_eos",
    *("dry_multiplier", "xtc_probability", "dynatemp_range", "mirostat", "samplers"),
    *("top_n_sigma", "typical_p", "repeat_last_n"),
)
"""What a request may ask of other models, and ctransformers has no word for."""
LONGEST_WORD = 32
"""Characters that SentencePiece's tokens are looked for in at once; the work grows by the cube."""


def factory(family: str) -> RunnerFactory:
    """Makes runners for models of that family."""
    return functools.partial(CtransformersRunner, family=family)


class CtransformersRunner:
    """One model, one slot. See `runners.base.Runner` for what is promised."""

    generates = True
    least_together = 2
    cuts = None
    partitioned = False
    slot_bytes = SlotBytes(0, 0)  # the library does not say
    checkpointing = None

    def __init__(
        self, load: Load, progress: Callable[[float, tuple[str, ...]], None], *, family: str
    ) -> None:
        """Load the model; progress jumps from 0 to 1.

        Raises:
            LoadError: the file is damaged or of another kind, or ctransformers is not installed.
        """
        kind = family_of(family)
        if load.n_seq_max != 1:
            raise LoadError(f"{kind.name} models run one sequence at a time: n_seq_max must be 1")
        path = Path(load.path)
        header = read_header(path, kind)
        progress(0.0, ())
        n_ctx = min(load.n_ctx or header.n_ctx, header.n_ctx)
        self._n_threads = load.n_threads or physical_cores()
        self.threads = (0, 0)
        self._llm = _open(path, kind, n_ctx)
        self.n_cells = n_ctx
        self.n_vocab = header.n_vocab
        self.fingerprint = f"ggml-{family}"
        self._vocabulary = Vocabulary(
            [self._llm.ctransformers_llm_detokenize(token) for token in range(header.n_vocab)],
            default_end=int(self._llm.eos_token_id),
            encode=self._encode if kind.scored else None,
        )
        self._reserve(n_ctx)
        self.info = ModelInfo(
            description=f"{family} {header.n_params // 10**6}M {header.quantization} (GGML)",
            n_ctx=n_ctx,
            n_ctx_train=header.n_ctx,
            n_params=header.n_params,
            size=header.size,
            n_seq_max=1,
            device="cpu",
            devices=(AssessedDevice(device=PROCESSOR),),
        )
        progress(1.0, ())

    # -- text; safe beside the step loop: the vocabulary never changes -----------------------------

    @property
    def chat_template(self) -> str | None:
        return self._vocabulary.chat_template

    @property
    def bos(self) -> str:
        return ""

    @property
    def eos(self) -> str:
        return self._vocabulary.eos

    def special_token_texts(self) -> list[str]:
        return self._vocabulary.special_token_texts

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        return self._vocabulary.tokenize(text, parse_special=parse_special)

    def tokenize_with_special(self, text: str) -> list[int]:
        return self.tokenize(text, parse_special=False)

    def with_bos(self, tokens: list[int]) -> list[int]:
        return tokens

    def token_to_bytes(self, token: int) -> bytes:
        return self._vocabulary.token_to_bytes(token)

    def token_text(self, token: int) -> bytes:
        return self._vocabulary.token_to_bytes(token)

    fill_in = None

    pair_template = None

    def pair(self, _query: str, _text: str) -> list[int]:
        raise RequestError("models in the old GGML format compare no texts", param="model")

    def preserve_tokens(self, texts: Collection[str]) -> None:
        """These models are older than tool calls."""

    def is_end_of_generation(self, token: int) -> bool:
        return self._vocabulary.is_end_of_generation(token)

    @property
    def ends(self) -> Collection[int]:
        return self._vocabulary.ends

    def _encode(self, word: bytes) -> list[int]:
        """SentencePiece's best way to make up a word, which has a space of its own: `▁`."""
        text = word.replace(b"\0", b"").decode("utf-8").replace(" ", "▁")
        found: list[int] = []
        for start in range(0, len(text), LONGEST_WORD):
            part = text[start : start + LONGEST_WORD].encode("utf-8")
            tokens = (ctypes.c_int * len(part))()
            count = self._llm.ctransformers_llm_tokenize(part, False, tokens)
            found += tokens[:count]
        return found

    # -- computing ---------------------------------------------------------------------------------

    def grammar_vocabulary(self) -> GrammarVocabulary:
        raise RequestError("models in the old GGML format keep to no grammar or schema")

    def sampler(
        self,
        params: SamplingParams,
        seed: int,
        prompt: Sequence[int],
        _constraint: Constraint | None = None,
        written: Sequence[int] = (),
    ) -> "CtransformersSampler":
        return CtransformersSampler(self._llm, self.n_vocab, params, seed, prompt, written)

    def decode(self, batch: Batch) -> None:
        self._eval(batch.tokens, batch.positions[0])

    def use_threads(self, count: int) -> None:
        self._n_threads = count

    def min_length(self, _slot: int) -> int:
        """Cells go by position, and those beyond the last token are never looked at."""
        return 0

    def min_saved_length(self, _length: int) -> int:
        return 0

    def truncate(self, _slot: int, length: int, _cut: Cut | None = None) -> int:
        return length

    def copy_prefix(
        self, _source: int, _target: int, _length: int, _cut: Cut | None = None
    ) -> bool:
        return False

    def checkpoint(self, _slot: int) -> State:
        raise NotImplementedError

    def save(self, _slot: int) -> State:
        """Nothing: the library hands no state out."""
        return b""

    def restore(self, _slot: int, _state: State) -> bool:
        return False

    def embedding_model(self) -> EmbeddingModel:
        """There are none: the library makes embeddings of LLaMA's files only, which no longer
        come here."""
        raise RequestError("models in the old GGML format give no embeddings", param="model")

    def embedder(self, _longest: int) -> Embedder:
        raise LoadError("models in the old GGML format give no embeddings")

    def close(self) -> None:
        del self._llm

    def _reserve(self, n_ctx: int) -> None:
        """Have the library make its buffers as large as they must ever be.

        It measures what a token takes on its first computation and never again, though a token
        takes more the more there are before it. What stands in the cells by then is of no account.
        """
        try:
            self._eval([0], n_ctx - 1)
        except DecodeFailed as ex:
            raise LoadError(f"there is no memory for {n_ctx} tokens: {ex}") from ex

    def _eval(self, tokens: list[int], n_past: int) -> None:
        count = len(tokens)
        values = (ctypes.c_int * count)(*tokens)
        if not self._llm.ctransformers_llm_batch_eval(
            values, count, n_past, EVAL_BATCH, self._n_threads
        ):
            raise DecodeFailed("ctransformers could not compute a batch")


class CtransformersSampler:
    """The library's own sampling. It is given a fresh seed for every token, since it begins a new
    random sequence each time."""

    def __init__(
        self,
        llm: Any,
        n_vocab: int,
        params: SamplingParams,
        seed: int,
        prompt: Sequence[int],
        written: Sequence[int],
    ) -> None:
        """See `runners.base.Runner.sampler`.

        Raises:
            RequestError: `params` has something of REFUSED.
        """
        off = SamplingParams()
        foreign = [name for name in REFUSED if getattr(params, name) != getattr(off, name)]
        if foreign:
            raise RequestError(
                f"models in the old GGML format cannot be asked for {', '.join(foreign)}",
                param=foreign[0],
            )
        self._llm = llm
        self._n_vocab = n_vocab
        self._seed, self._position = seed, len(written)
        self.groups = [1] * len(written)
        self._penalty = params.repeat_penalty
        most = 0 if self._penalty == 1.0 else PENALTY_LAST_N
        self._recent = deque([*prompt[-PENALTY_LAST_N:], *written], maxlen=most)
        greedy = params.temperature < COLDEST
        self._temperature = 1.0 if greedy else params.temperature
        # It sorts as many tokens as requested, even where there are fewer.
        self._top_k = 1 if greedy else min(params.top_k or n_vocab, n_vocab)
        self._top_p = params.top_p
        self._min_p = params.min_p

    ready = True
    mirostat_mu: float | None = None

    def sample(self, _output: int) -> list[int]:
        recent = (ctypes.c_int * len(self._recent))(*self._recent)
        token = int(
            self._llm.ctransformers_llm_sample(
                recent,
                len(recent),
                self._most(),
                self._top_p,
                self._temperature,
                self._penalty,
                seed_at(self._seed, self._position) >> 1,
            )
        )
        self._position += 1
        self._recent.append(token)
        return [token]

    def logprobs(self, _output: int, token: int, top: int) -> list[tuple[int, float]]:
        """Log probabilities from the model, before sampling."""
        logits = self._logits().astype(np.float64)
        logits -= logits.max()
        logits -= np.log(np.exp(logits).sum())
        likeliest = np.argsort(-logits, kind="stable")[:top]
        return [(int(i), float(logits[i])) for i in (token, *likeliest)]

    def close(self) -> None:
        """Nothing to free."""

    def _most(self) -> int:
        """Tokens to choose among: `top_k`, or as many as `min_p` leaves."""
        if self._min_p <= 0 or self._top_k == 1:
            return self._top_k
        logits = self._logits()
        left = np.count_nonzero(logits >= logits.max() + np.log(self._min_p))
        return max(1, min(self._top_k, int(left)))

    def _logits(self) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
        """The logits of the last computed token; valid until the next one is computed."""
        pointer = self._llm.ctransformers_llm_logits_data()
        return np.ctypeslib.as_array(pointer, shape=(self._n_vocab,))


# -- the library ----------------------------------------------------------------------------------


def _open(path: Path, family: Family, n_ctx: int) -> Any:
    """A loaded `ctransformers.LLM`."""
    if not has_library():
        raise LoadError(
            "models in the old GGML format cannot run here: ctransformers has no library for "
            f"{platform.machine()} processors on {platform.system()}; a GGUF file of the model can"
        )
    try:
        from ctransformers import LLM, Config  # type: ignore[import-not-found,import-untyped,unused-ignore]

        return LLM(str(path), family.name, config=Config(context_length=n_ctx), lib=_variant())
    except ImportError as ex:
        raise LoadError(
            f"models in the old GGML format need the package ctransformers; {ex.name} is missing"
        ) from ex
    except (RuntimeError, OSError) as ex:
        raise LoadError(f"ctransformers could not load {path.name}: {ex}") from ex


def has_library() -> bool:
    """Whether ctransformers has one for this system and processor."""
    return platform.machine().lower() in ("x86_64", "amd64") or platform.system() == "Darwin"


def _variant() -> str | None:
    """Which of its builds fits this processor; None: the library finds out, by other processes
    and in a second or two."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), None)
    if flags is None:
        return None
    if flags >= {"avx2", "fma", "f16c"}:
        return "avx2"
    return "avx" if flags >= {"avx", "f16c"} else "basic"
