"""Messages between `tuning.tune` and its child process: one request, then lines of JSON."""

import msgspec

from appliance.tuning.profile import Best, MeasuredSpeed, Setting, TuningTrial


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

    speed: MeasuredSpeed
    setting: Setting
    weights: str
    """llama.cpp's name for the type of the weights."""


class TuneRequest(msgspec.Struct, frozen=True, kw_only=True, tag="tune"):
    """Have the child try everything; it sends `TuningProgress`, `Tried` and `Best`."""

    model: str
    folder: str
    """An empty one, for rewritten weights."""
    seconds: float
    max_kl: float
    disk_bytes: int
    memory_bytes: int
    """-1: unknown."""
    variant: str = ""
    """See `protocol.Load`."""


class TuningProgress(msgspec.Struct, frozen=True, tag="doing"):
    """What the child is doing, for people."""

    text: str


class Tried(msgspec.Struct, frozen=True, tag="tried"):
    """What came of it."""

    trial: TuningTrial


class CannotLoad(msgspec.Struct, frozen=True, tag="cannot_load"):
    """llama.cpp does not take the model file."""

    message: str


TuningEvent = TuningProgress | Tried | Best | Measured | CannotLoad
