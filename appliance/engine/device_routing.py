"""On which device a request finds its model, and what is said when that is another one than asked.

A model runs on one device at a time. A request that asks for another moves it there if that device
exists and nobody is at work with the model: it is closed and loaded again, its saved states are
kept. Otherwise the request is answered where the model is, with a warning.
"""

import logging
import threading
from collections.abc import Callable, Iterable

import msgspec

from appliance.engine.protocol import Accepted, Load, ModelInfo, SequenceEvent, Sink, Standing

log = logging.getLogger(__name__)


class Place:
    """Where one model is. Thread-safe."""

    def __init__(self, name: str, info: Callable[[], ModelInfo | None]) -> None:
        """`info`: of the model, if it is loaded."""
        self._name = name
        self._info = info
        self._loaded_for: str | None = None
        """The device that the request which had it loaded asked for."""
        self._misplaced: str | None = None
        """What the last request that asked for a device was told."""

    @property
    def loaded_for(self) -> str | None:
        """The device that the request which had it loaded asked for; None: any."""
        return self._loaded_for

    def begin(self, device: str | None) -> str | None:
        """The model is about to be loaded; the device, if it is to be that very one."""
        self._misplaced = None
        wanted = (device or "auto").lower()
        self._loaded_for = None if wanted == "auto" else wanted
        return self._loaded_for

    def is_wrong(self, device: str | None) -> bool:
        """Whether the model would be where a request wants it if it were loaded again."""
        info = self._info()
        wanted = (device or "auto").lower()
        if info is None or wanted in ("auto", self._loaded_for) or wanted in _places(info):
            return False
        # One that died is tried again for who names it; one that computes wrong never is.
        return any(
            standing.trust != "wrong" and standing.device.name not in info.unproven
            for standing in _called(wanted, info)
        )

    @property
    def warning(self) -> str | None:
        """What is not as it was asked for, by the last request or by the configuration."""
        info = self._info()
        return (self._misplaced or info.warning) if info else None

    def warning_for(self, device: str | None) -> str | None:
        """What a request that asks for this device is told; None: it gets what it asked for."""
        info = self._info()
        if info is None:
            return None
        wanted = (device or "auto").lower()
        if wanted in _places(info):
            return info.warning if info.on else None
        if wanted == "auto":
            return info.warning
        if not info.devices:
            return f"{self._name} runs elsewhere, which decides about the device itself"
        called = _called(wanted, info)
        if not called:
            return f"{device} was asked for and is not there: {self._name} runs on {info.device}"
        if info.warning and wanted == self._loaded_for:
            return info.warning
        if all(standing.trust == "wrong" for standing in called):
            return f"{called[0].detail}; {self._name} runs on {info.device}"
        if any(standing.device.name in info.unproven for standing in called):
            return f"{device} is being compared with the processor, on which {self._name} runs"
        return f"{self._name} was at work on {info.device} and was not moved to {device}"

    def warned(self, sink: Sink, device: str | None) -> Sink:
        """A sink whose `Accepted` tells of the device."""

        def take(event: SequenceEvent) -> None:
            if isinstance(event, Accepted):
                told = self.warning_for(device)
                if (device or "auto").lower() != "auto":
                    if told and told != self._misplaced:
                        log.warning("%s", told)
                    self._misplaced = told
                event = msgspec.structs.replace(event, warning=told)
            sink(event)

        return take


class GivenUp:
    """The devices that a model must not be computed on until the appliance starts again, or
    somebody asks for one by name. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reasons: dict[str, str] = {}
        self._no_gpus = ""

    def forgive(self) -> None:
        """All may be tried again."""
        with self._lock:
            self._reasons = {}
            self._no_gpus = ""

    def add(self, names: Iterable[str], reason: str) -> None:
        """These are given up."""
        with self._lock:
            self._reasons = {**self._reasons, **dict.fromkeys(names, reason)}

    def look_no_more(self, reason: str) -> None:
        """Whoever looks for GPUs dies."""
        with self._lock:
            self._no_gpus = reason

    def told(self, load: Load) -> Load:
        """A load that heeds it."""
        with self._lock:
            return msgspec.structs.replace(load, given_up=self._reasons, no_gpus=self._no_gpus)


class Seen:
    """The devices of this machine, as workers tell of them."""

    def __init__(self) -> None:
        self._devices: dict[str, Standing] = {}

    def now(self, infos: Iterable[ModelInfo | None]) -> list[Standing]:
        """As these models see them, or the last that did."""
        found = together(standing for info in infos if info for standing in info.devices)
        looked_at = {name: it for name, it in found.items() if it.device.total}
        self._devices = {**found, **self._devices, **looked_at}
        return list(self._devices.values())


_WORSE = ("trusted", "slow", "unproven", "wrong", "failed")


def together(standings: Iterable[Standing]) -> dict[str, Standing]:
    """Every device once, by name: as the model sees it that trusts it least."""
    found: dict[str, Standing] = {}
    for standing in standings:
        known = found.get(standing.device.name, standing)
        if _WORSE.index(standing.trust) >= _WORSE.index(known.trust):
            found[standing.device.name] = standing
    return found


def _places(info: ModelInfo) -> set[str]:
    """What the place where the model runs may be called."""
    return {info.device, *(name.lower() for name in info.on if len(info.on) == 1)}


def _called(wanted: str, info: ModelInfo) -> list[Standing]:
    """The devices of that family or name."""
    return [
        standing
        for standing in info.devices
        if wanted in (standing.device.family, standing.device.name.lower())
    ]
