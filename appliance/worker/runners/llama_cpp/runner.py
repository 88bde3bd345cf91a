"""llama.cpp through llama-cpp-python's low-level functions.

Its `Llama` class and `_internals` helpers do not fit continuous batching: they own one sequence,
restart positions at 0 and fold every code of `llama_decode` into one error.
"""

import ctypes
import hashlib
import logging
import re
import sys
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from appliance.engine.protocol import Load, ModelInfo
from appliance.engine.types import SamplingParams
from appliance.errors import RequestError
from appliance.worker.constraints.compiler import GrammarVocabulary
from appliance.worker.constraints.constraint import Constraint
from appliance.worker.runners import slices
from appliance.worker.runners.base import (
    Batch,
    DecodeFailed,
    DeviceLost,
    EmbeddingModel,
    FillInTokens,
    NoRoom,
    SlotBytes,
    one_template,
)
from appliance.worker.runners.checkpoints import Checkpointing, Cut, State
from appliance.worker.runners.llama_cpp import loading
from appliance.worker.runners.llama_cpp.batch import NativeBatch
from appliance.worker.runners.llama_cpp.chain import SampledVocabulary
from appliance.worker.runners.llama_cpp.native import library
from appliance.worker.runners.llama_cpp.native.bindings import lib, tokenize_address
from appliance.worker.runners.llama_cpp.native.library import last_errors
from appliance.worker.runners.llama_cpp.native.threads import ThreadPool
from appliance.worker.runners.llama_cpp.sampler import LlamaSampler
from appliance.worker.runners.llama_cpp.verified_devices import standings
from appliance.worker.runners.llama_cpp.window_state import readable, window_at

if TYPE_CHECKING:
    from appliance.worker.runners.llama_cpp.embedder import LlamaEmbedder

log = logging.getLogger(__name__)

LEAST_TOGETHER_Q8_0 = 6
"""On a processor two tokens of such a model take as long as three one by one, and from six on each
takes less; with weights of other types that holds from two on."""
_ALL, _PART = lib.LLAMA_STATE_SEQ_FLAGS_NONE, lib.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
"""Of a state; what can't be cut anywhere, windows and the states of recurrent layers, is kept apart
from the others' cache."""


class LlamaRunner:
    """One model with one context. See `runners.base.Runner` for what is promised."""

    def __init__(self, load: Load, progress: loading.Progress) -> None:
        """Load the model and make its context.

        Raises:
            LoadError: with llama.cpp's last error messages.
        """
        library.start(load.variant, gpus=not load.no_gpus)
        library.forget_errors()
        opened = loading.open_model(load, progress)
        self._model, context, params = opened.model, opened.context, opened.params
        place = opened.place
        self._on_gpu = bool(place.on)
        vocab = lib.llama_model_get_vocab(self._model)
        assert vocab is not None
        self._vocab = vocab
        trained = lib.llama_model_n_ctx_train(self._model)
        n_ctx = load.n_ctx or trained
        self._context = context
        self._memory = lib.llama_get_memory(context)
        self.generates = bool(self._memory)
        self._batch = NativeBatch(load.n_batch)
        self._threads = ThreadPool(max(params.n_threads, params.n_threads_batch))
        self._threads.attach(context)
        self.partitioned = not params.kv_unified
        self._pieces: dict[int, bytes] = {}
        self.n_cells = n_ctx
        self.n_vocab = lib.llama_vocab_n_tokens(vocab)
        self._cuts, self.slot_bytes, self.checkpointing = (
            self._probe() if self.generates else (True, SlotBytes(0, 0), None)
        )
        self.fingerprint = _fingerprint(opened.path, params, load.variant, place.device)
        # A step on a GPU does not wait for threads, and a configured number stands.
        governed = not load.n_threads and not place.n_gpu_layers
        self.threads = (params.n_threads, params.n_threads_batch) if governed else (0, 0)
        description = _text(lib.llama_model_desc, self._model)
        slow_in_twos = description.endswith("Q8_0") and not place.n_gpu_layers
        self.least_together = LEAST_TOGETHER_Q8_0 if slow_in_twos else 2
        self.info = ModelInfo(
            description=description,
            n_ctx=n_ctx,
            n_ctx_train=trained,
            n_params=lib.llama_model_n_params(self._model),
            size=lib.llama_model_size(self._model),
            n_seq_max=load.n_seq_max,
            device=place.device,
            fingerprint=self._exact_fingerprint(params),
            variant=load.variant,
            on=place.on,
            devices=standings(load, place),
            unproven=place.unproven,
            n_gpu_layers=place.n_gpu_layers,
            warning=place.warning,
            tuned=opened.tuned,
            file=str(opened.path),
            context=structs.replace(opened.settings, n_ctx=n_ctx),
        )

    def _exact_fingerprint(self, params: lib.llama_context_params) -> str:
        """With what saved states may differ in, and results not."""
        parts = (
            *(self.fingerprint, params.n_ubatch, params.n_threads, params.n_threads_batch),
            *(self.partitioned, self.n_cells),
        )
        return "fp_" + hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    # -- text; safe beside the step loop: the vocabulary never changes -----------------------------

    @property
    def chat_template(self) -> str | None:
        usual, for_tools = (
            template.decode("utf-8", "replace") if template else None
            for name in (None, b"tool_use")
            for template in [lib.llama_model_chat_template(self._model, name)]
        )
        return one_template(usual, for_tools)

    @property
    def bos(self) -> str:
        return self._token_text(lib.llama_vocab_bos(self._vocab))

    @property
    def eos(self) -> str:
        return self._token_text(lib.llama_vocab_eos(self._vocab))

    def special_token_texts(self) -> list[str]:
        return self._control_texts

    @cached_property
    def _control_texts(self) -> list[str]:
        control = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN
        return [self._token_text(token) for token in self._tokens_with(control)]

    def _tokens_with(self, attributes: int) -> list[int]:
        return [
            token
            for token in range(self.n_vocab)
            if lib.llama_vocab_get_attr(self._vocab, token) & attributes
        ]

    @cached_property
    def _special_tokens(self) -> list[int]:
        return self._tokens_with(
            lib.LLAMA_TOKEN_ATTR_CONTROL
            | lib.LLAMA_TOKEN_ATTR_UNKNOWN
            | lib.LLAMA_TOKEN_ATTR_USER_DEFINED
        )

    @cached_property
    def cuts(self) -> "re.Pattern[str] | None":
        joins = (lib.LLAMA_VOCAB_TYPE_SPM, lib.LLAMA_VOCAB_TYPE_BPE)
        if lib.llama_vocab_type(self._vocab) not in joins:
            return None
        special = map(self._token_text, self._special_tokens)
        return slices.cuts(map(self._token_text, range(self.n_vocab)), special)

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        return self._tokenize(text, add_special=False, parse_special=parse_special)

    def tokenize_with_special(self, text: str) -> list[int]:
        return self._tokenize(text, add_special=True, parse_special=False)

    def _tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        data = text.encode("utf-8")
        room = len(data) + 16
        while True:
            tokens = (lib.llama_token * room)()
            count = lib.llama_tokenize(
                self._vocab, data, len(data), tokens, room, add_special, parse_special
            )
            if count >= 0:
                return list(tokens[:count])
            room = -count

    def with_bos(self, tokens: list[int]) -> list[int]:
        bos = lib.llama_vocab_bos(self._vocab)
        if not lib.llama_vocab_get_add_bos(self._vocab) or tokens[:1] == [bos]:
            return tokens
        return [bos, *tokens]

    def token_to_bytes(self, token: int) -> bytes:
        found = self._pieces.get(token)
        if found is None:
            found = self._pieces[token] = self._read_piece(token, special=False)
        return found

    def token_text(self, token: int) -> bytes:
        return self._read_piece(token, special=True)

    @cached_property
    def fill_in(self) -> FillInTokens | None:
        vocab = self._vocab
        found = FillInTokens(
            lib.llama_vocab_fim_pre(vocab),
            lib.llama_vocab_fim_suf(vocab),
            lib.llama_vocab_fim_mid(vocab),
            lib.llama_vocab_fim_rep(vocab),
            lib.llama_vocab_fim_sep(vocab),
        )
        return found if min(found.prefix, found.suffix, found.middle) >= 0 else None

    @cached_property
    def pair_template(self) -> str | None:
        template = lib.llama_model_chat_template(self._model, b"rerank")
        return template.decode("utf-8", "replace") if template else None

    def pair(self, query: str, text: str) -> list[int]:
        vocab = self._vocab
        sep, eos = lib.llama_vocab_sep(vocab), lib.llama_vocab_eos(vocab)
        eos = eos if eos >= 0 else sep
        ends = [eos] if lib.llama_vocab_get_add_eos(vocab) else []
        between = [*ends, *([sep] if lib.llama_vocab_get_add_sep(vocab) else [])]
        first, second = (self.tokenize(it, parse_special=False) for it in (query, text))
        return [*self.with_bos(first), *between, *second, *ends]

    def preserve_tokens(self, texts: Collection[str]) -> None:
        for text in texts:
            tokens = self.tokenize(text, parse_special=True)
            if len(tokens) == 1:
                self._pieces[tokens[0]] = text.encode()

    def is_end_of_generation(self, token: int) -> bool:
        return bool(lib.llama_vocab_is_eog(self._vocab, token))

    @cached_property
    def ends(self) -> list[int]:
        """llama.cpp makes special tokens of all that end a reply, but for those that a file names
        as such; asking about the whole vocabulary would take longer than a token does."""
        named = lib.llama_vocab_eos(self._vocab), lib.llama_vocab_eot(self._vocab)
        known = {*self._special_tokens, *(token for token in named if token >= 0)}
        return [token for token in sorted(known) if self.is_end_of_generation(token)]

    def _token_text(self, token: int) -> str:
        return (
            self._read_piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""
        )

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = lib.llama_token_to_piece(self._vocab, token, buffer, room, 0, special)
            if size >= 0:
                return buffer.raw[:size]
            room = -size

    # -- computing ---------------------------------------------------------------------------------

    def grammar_vocabulary(self) -> GrammarVocabulary:
        ends = self.ends
        if not ends:
            raise RequestError("this model knows no end of a reply, and so keeps to no grammar")
        tokens = [self._read_piece(token, special=False) for token in range(self.n_vocab)]
        for token in range(self.n_vocab):
            if not tokens[token]:  # control tokens
                tokens[token] = b"\xff" + self._read_piece(token, special=True)
        return GrammarVocabulary(
            tokens, ends, ctypes.cast(self._vocab, ctypes.c_void_p).value or 0, tokenize_address()
        )

    def sampler(
        self,
        params: SamplingParams,
        seed: int,
        prompt: Sequence[int],
        constraint: Constraint | None = None,
        written: Sequence[int] = (),
    ) -> LlamaSampler:
        return LlamaSampler(
            self._context,
            SampledVocabulary(self._vocab, self.n_vocab, self.info.n_ctx),
            params,
            seed=seed,
            prompt=prompt,
            ending=self.ends if params.ignore_eos else [],
            constraint=constraint,
            written=written,
        )

    def decode(self, batch: Batch) -> None:
        code = lib.llama_decode(self._context, self._batch.fill(batch))
        if code == 1:
            raise NoRoom
        if code < -1 and self._on_gpu:
            raise DeviceLost(f"llama_decode gave {code}{last_errors()}")
        if code != 0:
            raise DecodeFailed(f"llama_decode gave {code}{last_errors()}")

    def use_threads(self, count: int) -> None:
        # llama.cpp itself takes a batch of one token for decoding, others for prompts.
        lib.llama_set_n_threads(self._context, count, count)

    def min_length(self, slot: int) -> int:
        """llama.cpp sees to it that of a slot's window all is there from its first token on. The
        next token looks at itself and so many less one before it."""
        held: int = lib.llama_memory_seq_pos_max(self._memory, slot) + 1
        if not self._cuts:
            return held
        first: int = lib.llama_memory_seq_pos_min(self._memory, slot)
        return min(held, first + self.slot_bytes.window - 1) if first > 0 else 0

    def min_saved_length(self, length: int) -> int:
        """Only the part of a window that the last token attended to is saved."""
        if not self._cuts:
            return length
        return length - 1 if 0 < self.slot_bytes.window < length else 0

    def truncate(self, slot: int, length: int, cut: Cut | None = None) -> int:
        if cut is None and (0 <= lib.llama_memory_seq_pos_max(self._memory, slot) < length):
            return length
        there = self._put_back(slot, slot, length, cut) if cut else length >= self.min_length(slot)
        if length and there and lib.llama_memory_seq_rm(self._memory, slot, length, -1):
            return length
        lib.llama_memory_seq_rm(self._memory, slot, -1, -1)
        return 0

    def copy_prefix(self, source: int, target: int, length: int, cut: Cut | None = None) -> bool:
        if self.partitioned:
            # Slots with cells of their own hold no other's: it is copied by way of its state.
            there = self.restore(target, self.save(source))
            return there and self.truncate(target, length, cut) == length
        end = length if self._cuts or cut else -1
        lib.llama_memory_seq_cp(self._memory, source, target, 0, end)
        if cut:
            there = self._put_back(source, target, length, cut)
            return there and bool(lib.llama_memory_seq_rm(self._memory, target, length, -1))
        # Cells that two slots hold are never used again, and of a window there are few.
        window = self.slot_bytes.window
        there = not window or self.restore(target, self.checkpoint(target), _PART)
        return there and self.truncate(target, length) == length

    def _put_back(self, source: int, target: int, length: int, cut: Cut) -> bool:
        """Of `target`, what `source` had after `length` tokens and can't be cut."""
        if cut.before and cut.before.length == length:
            return self.restore(target, cut.before.state, _PART)
        after = cut.after.state if cut.after else self.checkpoint(source)
        states = [cut.before.state, after] if cut.before else [after]
        window = window_at(states, length, self.slot_bytes.window)
        return window is not None and self.restore(target, window, _PART)

    def checkpoint(self, slot: int) -> bytearray:
        return self.save(slot, _PART)

    def save(self, slot: int, what: int = _ALL) -> bytearray:
        size = lib.llama_state_seq_get_size_ext(self._context, slot, what)
        try:
            state = bytearray(size)
        except MemoryError:
            log.warning("there is no memory to keep %d bytes of what was read", size)
            return bytearray()
        if not size:
            return state
        view = (ctypes.c_uint8 * size).from_buffer(state)
        written = lib.llama_state_seq_get_data_ext(self._context, view, size, slot, what)
        return state if written == size else bytearray()

    def restore(self, slot: int, state: State, what: int = _ALL) -> bool:
        if not state:
            return False
        source = (
            ctypes.c_char_p(state)
            if isinstance(state, bytes)
            else (ctypes.c_char * len(state)).from_buffer(state)
        )
        pointer = ctypes.cast(source, ctypes.POINTER(ctypes.c_uint8))
        length = len(state)
        return bool(lib.llama_state_seq_set_data_ext(self._context, pointer, length, slot, what))

    def _probe(self) -> tuple[bool, SlotBytes, Checkpointing | None]:
        """Whether slots can be cut anywhere, `slot_bytes` and `checkpointing`; reading the weights
        in is a welcome by-product."""
        sizes, parts = [], []
        for position in (0, 1):
            self.decode(Batch(tokens=[0], positions=[position], slots=[0], outputs=[0]))
            sizes.append(
                [lib.llama_state_seq_get_size_ext(self._context, 0, what) for what in (_ALL, _PART)]
            )
            parts.append(self.checkpoint(0))
        can_cut = bool(lib.llama_memory_seq_rm(self._memory, 0, 1, -1))
        (fixed, _), (both, in_part) = sizes
        each, each_in_part = (second - first for first, second in zip(*sizes, strict=True))
        # A cache that has no part for windows gives all of it.
        window = lib.llama_model_n_swa(self._model) if can_cut and in_part < both else 0
        slot_bytes, checkpointing = SlotBytes(fixed - each, each), None
        if window:
            slot_bytes = SlotBytes(fixed - each, each - each_in_part, window, each_in_part)
            reach = window if readable(parts[0]) else 0
            if window < self.n_cells:  # else nothing is ever lost
                checkpointing = Checkpointing(window * each_in_part, reach)
        elif not can_cut:
            back = self.restore(0, parts[0], _PART)
            if back and lib.llama_memory_seq_rm(self._memory, 0, 1, -1):
                checkpointing = Checkpointing(in_part, 0)
        lib.llama_memory_clear(self._memory, True)
        return can_cut, slot_bytes, checkpointing

    def embedding_model(self) -> EmbeddingModel:
        from appliance.worker.runners.llama_cpp.embedder import LlamaEmbedder

        return EmbeddingModel(
            lib.llama_model_n_embd_out(self._model),
            LlamaEmbedder.longest(self._context, self._model, self.info.n_ctx),
            lib.llama_pooling_type(self._context) == lib.LLAMA_POOLING_TYPE_RANK,
        )

    def embedder(self, longest: int) -> "LlamaEmbedder":
        from appliance.worker.runners.llama_cpp.embedder import LlamaEmbedder

        return LlamaEmbedder(
            self._context,
            self._model,
            longest,
            threads=self._threads,
            can_cut=self._cuts,
            on_gpu=self._on_gpu,
        )

    def close(self) -> None:
        lib.llama_free(self._context)
        lib.llama_model_free(self._model)
        self._threads.close()


def _fingerprint(path: Path, params: lib.llama_context_params, variant: str, device: str) -> str:
    """Of a file of many gigabytes the two ends, size and time have to do. It begins with who
    computed, for `kv_files.forget_variant`."""
    info = path.stat()
    edge = 1 << 20
    with path.open("rb") as file:
        ends = file.read(edge)
        file.seek(max(0, info.st_size - edge))
        ends += file.read(edge)
    parts = (
        info.st_size,
        info.st_mtime_ns,
        params.type_k,
        params.type_v,
        params.flash_attn_type,
        lib.llama_version().decode(),
        sys.byteorder,
    )
    digest = hashlib.sha256(repr(parts).encode() + ends).hexdigest()[:32]
    return f"{variant or 'any'}-{device}-{digest}"


def _text(function: Callable[..., int], *arguments: object) -> str:
    buffer = ctypes.create_string_buffer(256)
    function(*arguments, buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace")
