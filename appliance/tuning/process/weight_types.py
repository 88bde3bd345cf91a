"""Types that weights can be rewritten to, and which of them are worth trying."""

import ctypes
from pathlib import Path

import msgspec

from appliance.worker.runners.llama_cpp.native.bindings import lib

MAX_GROWTH = 2.2
"""Rewritten weights are at most this times as large as the file."""


class WeightType(msgspec.Struct, frozen=True):
    """A type that llama.cpp writes."""

    name: str
    ftype: int
    bits: float
    """A weight, in the mean over a file."""
    effort: float = 1.0
    """How long rewriting takes, beside Q8_0."""


Q8_0 = WeightType("Q8_0", lib.LLAMA_FTYPE_MOSTLY_Q8_0, 8.5)
F16 = WeightType("F16", lib.LLAMA_FTYPE_MOSTLY_F16, 16.0)
Q6_K = WeightType("Q6_K", lib.LLAMA_FTYPE_MOSTLY_Q6_K, 6.6, 10.0)
Q4_0 = WeightType("Q4_0", lib.LLAMA_FTYPE_MOSTLY_Q4_0, 4.6, 2.0)
IQ4_NL = WeightType("IQ4_NL", lib.LLAMA_FTYPE_MOSTLY_IQ4_NL, 4.6, 40.0)

FAITHFUL = {
    "F32": (F16, Q8_0, Q6_K),
    "BF16": (F16, Q8_0, Q6_K),
    "F16": (Q8_0, Q6_K),
    "Q8_0": (F16,),
    "Q6_K": (Q8_0,),
    "Q5": (Q8_0, Q6_K),
    "": (Q8_0,),
}
"""Hold about all that the shipped type holds; by how its name begins, the first that fits."""
LOSSY = (Q6_K, Q4_0, IQ4_NL)
"""Lossy. Some models tolerate it; the divergence shows which."""


def faithful(shipped: str, size: int, n_params: int) -> list[WeightType]:
    """For a file of `size` bytes whose type llama.cpp names `shipped`, best first."""
    family = next(start for start in FAITHFUL if shipped.startswith(start))
    return [layout for layout in FAITHFUL[family] if _fits(layout, shipped, size, n_params)]


def lossy(shipped: str, size: int, n_params: int) -> list[WeightType]:
    """Those that `faithful` has not, most bits first; none that would make the file larger."""
    known = faithful(shipped, size, n_params)
    return [
        layout
        for layout in LOSSY
        if layout not in known
        and size_of(layout, n_params) < size
        and _fits(layout, shipped, size, n_params)
    ]


def size_of(layout: WeightType, n_params: int) -> int:
    """Bytes that a file would have."""
    return int(layout.bits / 8 * n_params)


def _fits(layout: WeightType, shipped: str, size: int, n_params: int) -> bool:
    return not shipped.startswith(layout.name) and size_of(layout, n_params) <= MAX_GROWTH * size


def rewrite(source: Path, target: Path, layout: WeightType, n_threads: int) -> bool:
    """Write the model with other weights; whether that worked. The source is only read."""
    params = lib.llama_model_quantize_default_params()
    params.ftype = layout.ftype
    params.nthread = n_threads
    params.allow_requantize = True
    code = lib.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(params)
    )
    return bool(code == 0)
