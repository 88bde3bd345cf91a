"""Results of comparing GPUs with the processor, and where they are stored.

The folder holds a `.json` for each model on each device. It is valid as long as nothing changes
that it depends on, which its name is a digest of. A comparison that did not finish is not stored:
that a machine was busy, or memory short, proves nothing.
"""

import contextlib
import hashlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from appliance.engine.protocol import Device
from appliance.system.files import replace_file

log = logging.getLogger(__name__)

MAX_MEAN = 0.05
"""Nats a token, of the Kullback-Leibler divergence from the processor. The processor itself differs
by 0.003 between reading a text as a batch and token by token, and a right GPU, which rounds
elsewhere, by 0.005 … 0.01 for a model of 4 bits, most of it the processor's own rounding. What
computes wrong is at whole nats."""
MAX_WORST = 1.0
"""The same for any single token: a correct GPU has 0.02. A fault in one row of a batch would be
lost in the mean of 64."""

SLOW = 0.5
"""A fraction of the processor's speed, as a batch and one by one: a GPU slower than that at both is
not worth using. Some are, in old or virtual machines."""
SLOW_SECONDS = 86_400.0
"""How long that result is valid: the GPU may have been busy."""

Figure = Annotated[float, Meta(ge=0)]


class ComparisonSubject(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared; any change of it makes another comparison necessary."""

    devices: tuple[str, ...]
    """Names, descriptions, and builds of their drivers, all in one order."""
    descriptions: tuple[str, ...]
    drivers: tuple[str, ...]
    library: str
    """Digest of llama.cpp, the devices' backend included."""
    model: str
    """Fingerprint of the file."""
    settings: str
    """Types of the KV cache, flash attention."""

    def is_about(self, device: Device, library: str) -> bool:
        """Whether it is about that very device, with its driver and that library."""
        about = zip(self.devices, self.descriptions, self.drivers, strict=True)
        named = (device.name, device.description, device.build)
        return library == self.library and named in about

    @property
    def key(self) -> str:
        """16 hex digits."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]


class ComparisonResult(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison that finished."""

    version: Literal[1] = 1
    subject: ComparisonSubject
    source: str
    """Path of the model's file."""
    tokens: int
    """That were read as a batch, and as many of them again a few or one at a time as there was time
    for."""
    mean: Figure | None
    """Kullback-Leibler divergence from the processor, nats a token; None: it is no number."""
    worst: Figure | None
    """The value of the worst single token."""
    pace: Figure | None = None
    """How many times as fast as the processor it is, at what it is better at; None: unknown."""
    at: float = 0.0
    """When; Unix seconds."""
    seconds: float
    """That it took."""

    @property
    def slow(self) -> bool:
        """Whether the processor is the better choice."""
        return self.pace is not None and self.pace < SLOW

    @property
    def fault(self) -> str:
        """Why the devices must not be used, for people; empty: they are right."""
        mean, worst = self.mean, self.worst
        if mean is None or worst is None:
            return "what it computes is no number"
        if is_faulty(mean, worst):
            return (
                f"it says something else than the processor: {mean:.2g} nats a token over "
                f"{self.tokens} tokens, {worst:.2g} at worst, where {MAX_MEAN} and {MAX_WORST} "
                "are rounding"
            )
        return ""


def is_faulty(mean: float | None, worst: float | None) -> bool:
    """Whether that is more than rounding."""
    return mean is None or worst is None or mean > MAX_MEAN or worst > MAX_WORST


def load_result(subject: ComparisonSubject, folder: Path) -> ComparisonResult | None:
    """The stored result; None: there is none, or none that can be read."""
    try:
        found = _read(folder / f"{subject.key}.json")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as ex:
        log.warning("a comparison of %s is not used: %s", " and ".join(subject.devices), ex)
        return None
    if found.subject != subject or (found.slow and time.time() - found.at > SLOW_SECONDS):
        return None
    return found


def store_result(result: ComparisonResult, folder: Path) -> None:
    """Store it, in place of others of the same model on the same devices; atomically.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = folder / f"{result.subject.key}.json"
    replace_file(place, msgspec.json.format(msgspec.json.encode(result), indent=2), durable=True)
    for file, other in _all(folder):
        same = (other.source, other.subject.devices) == (result.source, result.subject.devices)
        if file != place and (same or not Path(other.source).exists()):
            with contextlib.suppress(OSError):
                file.unlink()


def all_results(folder: Path) -> list[ComparisonResult]:
    """All stored results that can be read."""
    return [result for _, result in _all(folder)]


def _all(folder: Path) -> Iterator[tuple[Path, ComparisonResult]]:
    for file in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, RecursionError):
            yield file, _read(file)


def _read(place: Path) -> ComparisonResult:
    return msgspec.json.decode(place.read_bytes(), type=ComparisonResult)
