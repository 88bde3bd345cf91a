"""Messages between `devices.verify` and its child process."""

import msgspec

from appliance.engine.device_results import ComparisonResult
from appliance.engine.protocol import Load


class Compare(msgspec.Struct, frozen=True, kw_only=True):
    """Have the child compare devices with the processor; it sends `ComparisonProgress` …, and then
    `Compared` or `CannotCompare`."""

    load: Load
    """How the model is run."""
    devices: tuple[str, ...]
    """Names of the GPUs, all together."""


class ComparisonProgress(msgspec.Struct, frozen=True, tag="doing"):
    """What the child is doing, for people."""

    text: str


class CannotCompare(msgspec.Struct, frozen=True, tag="cannot_compare"):
    """It could not be found out, and why."""

    message: str


class Compared(msgspec.Struct, frozen=True, tag="compared"):
    """It came to an end."""

    result: ComparisonResult


ComparisonEvent = ComparisonProgress | CannotCompare | Compared
