"""On which device a model runs, and how many of its layers fit there. Pure Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.engine.protocol import Load

SPARE = 0.95
"""Of a GPU's free memory, the part that is planned with: drivers take some as they go."""
PLENTY = 0.5
"""Of it, the part that one model may take for the sake of speed alone."""


class Device(Protocol):
    """See `llama_library.Device`."""

    @property
    def kind(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def free(self) -> int: ...


@dataclass(slots=True)
class Placement:
    """Where the layers go."""

    device: str
    n_gpu_layers: int = 0
    apart: bool = False
    """Slots have cells of their own, although they were to share."""
    warning: str | None = None
    """The device that was asked for is not there, or has too little memory."""

    def shrink(self) -> bool:
        """Shared cells, or fewer layers on the GPU; False: there are none left."""
        if self.apart:
            self.apart = False
            return True
        if not self.n_gpu_layers:
            return False
        self.n_gpu_layers = self.n_gpu_layers * 3 // 4
        self.warning = f"only {self.n_gpu_layers} layers fit on the {self.device} device"
        return True


def gpus(devices: Sequence[Device]) -> list[Device]:
    """Those that are GPUs."""
    return [device for device in devices if device.kind in ("gpu", "igpu")]


def choose(load: Load, devices: Sequence[Device]) -> Placement:
    """The device that was asked for, or the processor with a warning if it is not there."""
    there = gpus(devices)
    if load.device not in ("auto", "cpu"):
        wanted = [gpu for gpu in there if gpu.family == load.device]
        if not wanted:
            names = ", ".join(sorted({gpu.family for gpu in there})) or "none"
            return Placement(
                "cpu",
                warning=f"{load.device} was asked for and is not there (GPUs: {names}): "
                "the processor is used instead",
                apart=load.cpu_apart,
            )
        there = wanted
    if load.device == "cpu" or not there:
        return Placement("cpu", apart=load.cpu_apart)
    free = int(sum(gpu.free for gpu in there if gpu.family == there[0].family) * SPARE)
    fitting = [layers for layers, need in enumerate(load.gpu_bytes) if need <= free]
    layers = fitting[-1] if fitting else 0
    if load.n_gpu_layers >= 0:
        layers = load.n_gpu_layers
    elif not load.gpu_bytes:
        layers = 9999  # what llama.cpp takes for all
    all_layers = len(load.gpu_bytes) - 1
    warning = None
    if load.n_gpu_layers < 0 and load.gpu_bytes and layers < all_layers:
        warning = f"{layers} of {all_layers} layers fit on the {there[0].family} device"
    apart = layers >= all_layers and 0 < load.gpu_bytes_apart <= free * PLENTY
    return Placement(there[0].family, layers, apart, warning)
