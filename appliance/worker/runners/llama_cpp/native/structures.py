"""Whether llama.cpp's structures have the layout that the bindings declare, tested by using them.

Nothing is loaded for it and no model is needed. Where a structure is another one, what comes back
is not what was put in. Source of what is expected: `include/llama.h`.
"""

import ctypes
import platform
from collections.abc import Iterator
from typing import Any

from appliance.worker.runners.llama_cpp.native.bindings import Handle, lib
from appliance.worker.runners.llama_cpp.native.threads import default_params

_FILLER = 0xA5
_BEYOND = 512
"""Bytes behind a structure that are looked at."""
_INTO_REGISTERS = 16
"""Bytes up to which a function may give a structure without writing it to memory."""
_ROUNDED_TO = 8
"""Bytes; the last few of a structure may be there for its length alone."""


def differences(giving: dict[str, Any]) -> list[str]:
    """What does not fit, a sentence each.

    Args:
        giving: functions without arguments that give a structure, and the bindings' class of it.
    """
    found = [_size(name, kind) for name, kind in giving.items()]
    return [*filter(None, found), *_batch(), *_candidates(), *_threads()]


def _size(function: str, kind: Any) -> str:
    """A function that gives a structure writes it to where its hidden first argument points, so
    how far it writes shows its size; on ARM that argument is out of reach."""
    expected = ctypes.sizeof(kind)
    if platform.machine().lower() not in ("x86_64", "amd64") or expected <= _INTO_REGISTERS:
        return ""
    room = (ctypes.c_ubyte * (expected + _BEYOND))(*[_FILLER] * (expected + _BEYOND))
    write = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)((function, lib._lib))  # noqa: SLF001
    write(ctypes.addressof(room))
    written = len(bytes(room).rstrip(bytes([_FILLER])))
    if expected - _ROUNDED_TO < written <= expected:
        return ""
    return f"{function} gives {written} bytes where {expected} were expected"


def _batch() -> Iterator[str]:
    """Batches of tokens and of embeddings; each has room for three sequences a token."""
    tokens, n_embd = 5, 7
    for embd, is_there in ((0, ("token",)), (n_embd, ("embd",))):
        batch = lib.llama_batch_init(tokens, embd, 3)
        given = {name for name, _ in batch._fields_[1:] if getattr(batch, name)}
        expected = {"pos", "n_seq_id", "seq_id", "logits", *is_there}
        # Behind the last token's sequences is an end, which llama_batch_free looks for.
        ends = given >= {"seq_id"} and not batch.seq_id[tokens]
        if batch.n_tokens != 0 or given != expected or not ends:
            yield f"llama_batch is another structure: {sorted(given)} point anywhere"
            return  # freeing it might free anything
        lib.llama_batch_free(batch)


def _candidates() -> Iterator[str]:
    """Tokens and their logits, through samplers whose answer is known."""
    entries = (lib.llama_logit_bias * 2)()
    for entry, (token, bias) in zip(entries, ((1, 4.0), (3, -2.0)), strict=True):
        entry.token, entry.bias = token, bias
    penalties = lib.llama_sampler_init_penalties(4, 8, 2.0, 0.25, 0.5)
    lib.llama_sampler_accept(penalties, 1)
    # Divided by the first, less the second for each time that it was there, less the third.
    penalized = 8.0 / 2.0 - 0.25 - 0.5
    by_bias = lib.llama_sampler_init_logit_bias(4, 2, entries)
    yield from (
        f"{what}: {given} where {expected} was expected"
        for what, given, expected in (
            ("llama_logit_bias", _left([0, 0, 0, 0], by_bias), {0: 0, 1: 4, 2: 0, 3: -2}),
            ("llama_token_data", _left([1, 2], lib.llama_sampler_init_temp(0.5)), {0: 2, 1: 4}),
            (
                "llama_token_data_array",
                _left([1, 3, 2], lib.llama_sampler_init_top_k(2)),
                {1: 3, 2: 2},
            ),
            (
                "llama_token_data_array",
                _left([1, 3, 2], lib.llama_sampler_init_greedy()),
                {0: 1, 1: 3, 2: 2, "chosen": 1},
            ),
            ("llama_sampler_init_penalties", _left([1, 8], penalties), {0: 1, 1: penalized}),
        )
        if given != expected
    )


def _threads() -> Iterator[str]:
    params = default_params(7)
    given = [getattr(params, name) for name, _ in params._fields_[1:]]
    if given != [7, 0, 50, False, False]:
        yield f"ggml_threadpool_params is another structure: {given}"


def _left(logits: list[float], sampler: Handle) -> dict[int | str, float]:
    """Tokens and their logits, as the sampler leaves them, and which it chose if it chose one."""
    data = (lib.llama_token_data * len(logits))()
    for token, (entry, logit) in enumerate(zip(data, logits, strict=True)):
        entry.id, entry.logit, entry.p = token, logit, 0.0
    array = lib.llama_token_data_array(data=data, size=len(logits), selected=-1, sorted=False)
    lib.llama_sampler_apply(sampler, ctypes.byref(array))
    lib.llama_sampler_free(sampler)
    # Samplers leave fewer, but never more.
    left = array.data[: array.size] if array.size <= len(logits) else []
    found: dict[int | str, float] = {int(one.id): round(float(one.logit), 4) for one in left}
    return found | ({} if array.selected == -1 else {"chosen": array.selected})
