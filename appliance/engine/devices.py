"""On which device a request finds its model, and what is said when that is another one than asked.

A model runs on one device at a time. A request that asks for another moves it there if that device
exists and nobody is at work with the model: it is closed and loaded again, its saved states are
kept. Otherwise the request is answered where the model is, with a warning.
"""

import logging
from collections.abc import Callable

import msgspec

from appliance.engine.protocol import Accepted, ModelInfo, SequenceEvent
from appliance.engine.requests import Sink

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

    def begin(self, device: str | None) -> str | None:
        """The model is about to be loaded; the device, if it is to be that very one."""
        self._misplaced = None
        self._loaded_for = None if device == "auto" else device
        return self._loaded_for

    def is_wrong(self, device: str | None) -> bool:
        """Whether the model would be where a request wants it if it were loaded again."""
        info = self._info()
        if device in (None, "auto", self._loaded_for) or info is None:
            return False
        return device != info.device and device in info.devices

    @property
    def warning(self) -> str | None:
        """What is not as it was asked for, by the last request or by the configuration."""
        info = self._info()
        return (self._misplaced or info.warning) if info else None

    def warning_for(self, device: str | None) -> str | None:
        """What a request that asks for this device is told; None: it gets what it asked for."""
        info = self._info()
        if info is None or device == info.device:
            return None
        if device in (None, "auto"):
            return info.warning
        if not info.devices:
            return f"{self._name} runs elsewhere, which decides about the device itself"
        if device not in info.devices:
            return f"{device} was asked for and is not there: {self._name} runs on {info.device}"
        if device == self._loaded_for and info.warning:
            return info.warning
        return f"{self._name} was at work on {info.device} and was not moved to {device}"

    def warned(self, sink: Sink, device: str | None) -> Sink:
        """A sink whose `Accepted` tells of the device."""

        def take(event: SequenceEvent) -> None:
            if isinstance(event, Accepted):
                told = self.warning_for(device)
                if device not in (None, "auto"):
                    if told and told != self._misplaced:
                        log.warning("%s", told)
                    self._misplaced = told
                event = msgspec.structs.replace(event, warning=told)
            sink(event)

        return take
