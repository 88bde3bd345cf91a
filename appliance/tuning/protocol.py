"""What crosses the border between `tuning.tune` and its child: one request, then lines of JSON."""

import msgspec

from appliance.tuning.profile import Best, Setting, Speed, Trial


class Measure(msgspec.Struct, frozen=True, kw_only=True, tag="measure"):
    """Have the child measure a file in a setting; answered by `Measured` or `CannotLoad`."""

    file: str
    setting: Setting | None
    """None: the usual one."""
    rounds: int
    variant: str = ""
    """See `protocol.Load`."""


class Measured(msgspec.Struct, frozen=True, tag="measured"):
    """Medians, and what was measured."""

    speed: Speed
    setting: Setting
    weights: str
    """llama.cpp's name for the type of the weights."""


class Request(msgspec.Struct, frozen=True, kw_only=True, tag="tune"):
    """Have the child try everything; it tells `Doing`, `Tried` and `Best`."""

    model: str
    folder: str
    """An empty one, for rewritten weights."""
    seconds: float
    max_kl: float
    disk_bytes: int
    memory_bytes: int
    """-1: nobody knows."""
    variant: str = ""
    """See `protocol.Load`."""


class Doing(msgspec.Struct, frozen=True, tag="doing"):
    """What the child is at, for people."""

    text: str


class Tried(msgspec.Struct, frozen=True, tag="tried"):
    """What came of it."""

    trial: Trial


class CannotLoad(msgspec.Struct, frozen=True, tag="cannot_load"):
    """llama.cpp does not take the model file."""

    message: str


Told = Doing | Tried | Best | Measured | CannotLoad
