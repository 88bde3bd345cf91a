"""The settings of a model's context, used to create one and to estimate its memory."""

from typing import Literal

import msgspec

FlashAttention = Literal["auto", "on", "off"]
KvType = Literal["f16", "q8_0", "q4_0"]


class ContextSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Names are those of llama.cpp's context parameters; the memory estimate takes all of them."""

    n_ctx: int
    """Tokens that one sequence may span; 0: what the model was trained with."""
    n_batch: int
    n_ubatch: int
    n_seq_max: int
    """Slots."""
    kv_unified: bool
    """One KV cache of `n_ctx` cells for all slots, rather than as many for each."""
    flash_attn: FlashAttention = "auto"
    type_k: KvType = "f16"
    """The type of the KV cache's keys."""
    type_v: KvType = "f16"
    """The type of its values."""
    swa_full: bool = False
    """Layers that look back a window only have cells for all tokens, too."""
