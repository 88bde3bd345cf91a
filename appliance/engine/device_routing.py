"""The device that a request runs on, and the warning if it is not the requested one.

A model runs on one device at a time. A request that asks for another moves it there if that device
exists and no request is in flight: the model is closed and loaded again, its saved states are
kept. Otherwise the request is answered where the model is, with a warning.
"""

import logging
import threading
from collections.abc import Callable, Iterable

import msgspec

from appliance.engine.protocol import (
    Accepted,
    AssessedDevice,
    EventSink,
    Load,
    ModelInfo,
    SequenceEvent,
)

log = logging.getLogger(__name__)


class DeviceRouting:
    """Where one model is. Thread-safe."""

    def __init__(self, name: str, info: Callable[[], ModelInfo | None]) -> None:
        """`info`: of the model, if it is loaded."""
        self._name = name
        self._info = info
        self._loaded_for: str | None = None
        """The device requested by the request that had it loaded."""
        self._misplaced: str | None = None
        """The warning that the last request for a certain device got."""

    @property
    def loaded_for(self) -> str | None:
        """The device requested by the request that had it loaded; None: any."""
        return self._loaded_for

    def begin_load(self, device: str | None) -> str | None:
        """The model is about to be loaded; the device, if it is to be that very one."""
        self._misplaced = None
        wanted = (device or "auto").lower()
        self._loaded_for = None if wanted == "auto" else wanted
        return self._loaded_for

    def should_move(self, device: str | None) -> bool:
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
        """What is not as the last request or the configuration wanted it."""
        info = self._info()
        return (self._misplaced or info.warning) if info else None

    def warning_for(self, device: str | None) -> str | None:
        """The warning for a request for this device; None: it gets what it wants."""
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
            return f"{device} is not available: {self._name} runs on {info.device}"
        if info.warning and wanted == self._loaded_for:
            return info.warning
        if all(standing.trust == "wrong" for standing in called):
            return f"{called[0].detail}; {self._name} runs on {info.device}"
        if any(standing.device.name in info.unproven for standing in called):
            return f"{device} is being compared with the processor, on which {self._name} runs"
        return f"{self._name} was at work on {info.device} and was not moved to {device}"

    def with_device_warning(self, sink: EventSink, device: str | None) -> EventSink:
        """A sink whose `Accepted` has the warning about the device."""

        def take(event: SequenceEvent) -> None:
            if isinstance(event, Accepted):
                warning = self.warning_for(device)
                if (device or "auto").lower() != "auto":
                    if warning and warning != self._misplaced:
                        log.warning("%s", warning)
                    self._misplaced = warning
                event = msgspec.structs.replace(event, warning=warning)
            sink(event)

        return take


class ExcludedDevices:
    """The devices that a model must not be computed on until the appliance starts again, or
    somebody requests one by name. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reasons: dict[str, str] = {}
        self._no_gpus = ""

    def clear(self) -> None:
        """All may be tried again."""
        with self._lock:
            self._reasons = {}
            self._no_gpus = ""

    def add(self, names: Iterable[str], reason: str) -> None:
        """These are not used any more."""
        with self._lock:
            self._reasons = {**self._reasons, **dict.fromkeys(names, reason)}

    def exclude_all(self, reason: str) -> None:
        """Workers that look for GPUs die: they are not to."""
        with self._lock:
            self._no_gpus = reason

    def apply_to(self, load: Load) -> Load:
        """The load command without the excluded devices."""
        with self._lock:
            return msgspec.structs.replace(load, excluded=self._reasons, no_gpus=self._no_gpus)


class KnownDevices:
    """The devices of this machine, as workers report them."""

    def __init__(self) -> None:
        self._devices: dict[str, AssessedDevice] = {}

    def now(self, infos: Iterable[ModelInfo | None]) -> list[AssessedDevice]:
        """As these models see them, or the last that did."""
        found = merge_statuses(standing for info in infos if info for standing in info.devices)
        looked_at = {name: it for name, it in found.items() if it.device.total}
        self._devices = {**found, **self._devices, **looked_at}
        return list(self._devices.values())


_WORSE = ("trusted", "slow", "unproven", "wrong", "failed")


def merge_statuses(standings: Iterable[AssessedDevice]) -> dict[str, AssessedDevice]:
    """Every device once, by name: as the model sees it that trusts it least."""
    found: dict[str, AssessedDevice] = {}
    for standing in standings:
        known = found.get(standing.device.name, standing)
        if _WORSE.index(standing.trust) >= _WORSE.index(known.trust):
            found[standing.device.name] = standing
    return found


def _places(info: ModelInfo) -> set[str]:
    """What the place where the model runs may be called."""
    return {info.device, *(name.lower() for name in info.on if len(info.on) == 1)}


def _called(wanted: str, info: ModelInfo) -> list[AssessedDevice]:
    """The devices of that family or name."""
    return [
        standing
        for standing in info.devices
        if wanted in (standing.device.family, standing.device.name.lower())
    ]
