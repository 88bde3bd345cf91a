"""Messages between `variants.verify` and its child process."""

from typing import Literal

import msgspec


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What a model asks of a processor."""

    types: dict[str, int]
    """The types of its weights: ggml's names, such as `Q4_K`, and numbers."""
    head_size: int
    """Values of one head's key; 0: it has no attention."""
    experts: bool = False
    """Some layers choose among several networks."""
    type_k: str = "f16"
    """The type of the KV cache."""
    type_v: str = "f16"
    flash_attn: str = "auto"

    @property
    def key(self) -> str:
        """It in a line, for people and to find it by."""
        words = [
            *sorted(self.types),
            f"head {self.head_size}",
            *(["experts"] if self.experts else []),
        ]
        return " ".join([*words, f"KV {self.type_k}/{self.type_v}", f"flash {self.flash_attn}"])


class VariantsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Have a process try the variants."""

    need: Need
    folder: str
    """An empty one, for the small model."""
    only: tuple[str, ...] = ()
    """These variants; empty: all that this processor can run."""
    start: tuple[str, ...] = ()
    """The command that starts such a process; empty: variants' processes are forked from it."""


VariantOutcome = Literal["right", "wrong", "died", "hung", "unknown"]


class VariantVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """On one variant."""

    variant: str
    """Its name, such as `haswell`."""
    score: int
    """ggml's own: the more instructions it uses, the higher."""
    outcome: VariantOutcome
    """`unknown`: the machine gave no time to find out, and another try may."""
    detail: str = ""
    """Why, for people."""
    prefill: float = 0.0
    """Seconds for a batch; 0: it was not timed."""
    decode: float = 0.0
    """Seconds for a token."""
    error: float = 0.0
    """Distance of its logits from the reference's, as a part of their length."""
