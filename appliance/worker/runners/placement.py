"""On which devices a model runs, and how many of its layers fit there. Pure Python.

A model runs on GPUs of one family at a time: two families may find the same GPU. One that holds the
whole model is enough; where none does, all of a family share it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from appliance.engine.protocol import Device, Load, Trust

SPARE = 0.95
"""The usable fraction of a GPU's free memory: drivers allocate some over time."""
PLENTY = 0.5
"""The fraction of it that one model may take only to be faster."""
PREFERENCE = ("cuda", "metal")
"""Families that are faster on the same GPU than others, best first."""
ALL = 9999
"""Layers; what llama.cpp takes for all."""

Judge = Callable[[Sequence[Device]], tuple[Trust, str]]
"""Whether a model may run on these devices together, and why not."""


@dataclass(slots=True)
class Placement:
    """Where the layers go."""

    device: str
    """`cpu`, or the family of the GPUs."""
    on: tuple[str, ...] = ()
    """Names of the GPUs; none: the processor computes everything."""
    n_gpu_layers: int = 0
    apart: bool = False
    """Slots have cells of their own, although they were to share."""
    warning: str | None = None
    """What differs from the configuration."""
    unproven: tuple[str, ...] = ()
    """GPUs that would be better, but were not compared with the processor yet."""

    def shrink(self) -> bool:
        """Shared cells, or fewer layers on the GPU; False: there are none left."""
        if self.apart:
            self.apart = False
            return True
        if not self.n_gpu_layers:
            return False
        self.n_gpu_layers = self.n_gpu_layers * 3 // 4
        where = _together(self.on)
        if self.n_gpu_layers:
            self.warning = f"only {self.n_gpu_layers} layers could be loaded on {where}"
        else:
            self.device, self.on = "cpu", ()
            self.warning = f"nothing could be loaded on {where}; the processor is used instead"
        return True


@dataclass(slots=True)
class _Choice:
    """GPUs, and what of a model they would compute."""

    devices: list[Device]
    layers: int
    free: int = field(init=False)

    def __post_init__(self) -> None:
        self.free = int(sum(device.free for device in self.devices) * SPARE)

    @property
    def family(self) -> str:
        return self.devices[0].family

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(device.name for device in self.devices)

    def as_good_as(self, other: "_Choice") -> bool:
        return (self.family, self.layers) == (other.family, other.layers)


def gpus(devices: Sequence[Device]) -> list[Device]:
    """Those that are GPUs."""
    return [device for device in devices if device.kind in ("gpu", "igpu")]


def choose(load: Load, devices: Sequence[Device], judge: Judge) -> Placement:
    """The best of the devices that were requested and are trusted, or the processor, with a warning
    if that was not requested."""
    processor = Placement("cpu", apart=load.cpu_apart)
    if load.device == "cpu" or load.n_gpu_layers == 0:
        return processor
    groups = _requested(load.device, gpus(devices))
    if not groups:
        if load.device != "auto":
            names = ", ".join(gpu.name for gpu in gpus(devices)) or "none"
            processor.warning = (
                f"{load.device} is not available (GPUs: {names}): the processor is used instead"
            )
        if load.no_gpus:
            processor.warning = f"GPUs are not used: {load.no_gpus}; the processor is used instead"
        return processor
    choices = [choice for group in groups for choice in _choices(load, group)]
    choices.sort(key=lambda choice: (-choice.layers, _rank(choice.family)))
    refusals: list[str] = []
    waiting: _Choice | None = None
    found: _Choice | None = None
    for choice in choices:
        trust, why = judge(choice.devices)
        if trust == "trusted":
            found = choice
            break
        if trust == "unproven":
            waiting = waiting or choice
        elif trust != "slow":
            refusals.append(why)
    if waiting and found and waiting.as_good_as(found):
        waiting = None
    place = _place(load, found) if found and found.layers else processor
    place.unproven = waiting.names if waiting and waiting.layers else ()
    place.warning = _warning(load, place, refusals, choices[0])
    return place


def _requested(wanted: str, there: list[Device]) -> list[list[Device]]:
    """GPUs that may share a model. Those that share the processor's memory are for where there are
    no others of their family, or for who names one."""
    families = sorted({gpu.family for gpu in there})
    named = [gpu for gpu in there if gpu.name.lower() == wanted and wanted not in families]
    if named:
        return [named]
    groups = []
    for family in families:
        if wanted in ("auto", family):
            group = [gpu for gpu in there if gpu.family == family]
            groups.append([gpu for gpu in group if gpu.kind == "gpu"] or group)
    return groups


def _choices(load: Load, group: list[Device]) -> Iterator[_Choice]:
    """One GPU that is enough, the roomiest first; else all together, with what fits there."""
    sizes = load.gpu_bytes
    every = len(sizes) - 1
    wanted = load.n_gpu_layers if load.n_gpu_layers > 0 else every
    enough = False
    if sizes:
        for gpu in sorted(group, key=lambda gpu: -gpu.free):
            if sizes[min(wanted, every)] <= int(gpu.free * SPARE):
                enough = True
                yield _Choice([gpu], wanted)
    if enough:
        return
    together = _Choice(group, ALL)
    if load.n_gpu_layers > 0:
        together.layers = load.n_gpu_layers
    elif sizes:
        fitting = [layers for layers, need in enumerate(sizes) if need <= together.free]
        together.layers = fitting[-1] if fitting else 0
    yield together


def _rank(family: str) -> int:
    return PREFERENCE.index(family) if family in PREFERENCE else len(PREFERENCE)


def _place(load: Load, choice: _Choice) -> Placement:
    whole = choice.layers >= len(load.gpu_bytes) - 1
    apart = whole and 0 < load.gpu_bytes_apart <= choice.free * PLENTY
    return Placement(choice.family, choice.names, choice.layers, apart)


def _warning(load: Load, place: Placement, refusals: list[str], best: _Choice) -> str | None:
    """What a person ought to know of it."""
    parts = list(refusals)
    every = len(load.gpu_bytes) - 1
    if place.unproven and load.device != "auto":
        parts.append(f"{_together(place.unproven)} is being compared with the processor")
    elif not place.on and not best.layers and not parts:
        parts.append(f"no layer fits on {_together(best.names)}")
    if parts:
        which = _together(place.on) if place.on else "the processor"
        parts.append(f"{which} is used {'meanwhile' if place.unproven else 'instead'}")
    if place.on and load.n_gpu_layers < 0 and place.n_gpu_layers < every:
        parts.append(f"{place.n_gpu_layers} of {every} layers fit on {_together(place.on)}")
    return "; ".join(parts) or None


def _together(names: Sequence[str]) -> str:
    return " and ".join(names)
