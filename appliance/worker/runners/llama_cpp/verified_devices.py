"""Which devices a model may be computed on: those that were compared with the processor.

See `engine.fidelity`. A comparison is about a model's file and how it is run, the devices and their
drivers, and llama.cpp's own libraries.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

from appliance.engine.device_results import ComparisonSubject, load_result
from appliance.engine.protocol import AssessedDevice, Device, Load, Trust
from appliance.system import llama_libraries
from appliance.system.fingerprint import fingerprint
from appliance.worker.runners.llama_cpp.native import library
from appliance.worker.runners.placement import Placement, gpus


def subject_of(load: Load, devices: Sequence[Device]) -> ComparisonSubject:
    """What a comparison of these devices with the processor is about.

    Raises:
        OSError: the model's file or a library cannot be read.
    """
    return ComparisonSubject(
        devices=tuple(device.name for device in devices),
        descriptions=tuple(device.description for device in devices),
        drivers=tuple(device.build for device in devices),
        library=llama_libraries.digest(devices[0].family),
        model=_model(load.path),
        settings=f"{load.type_k} {load.type_v} {load.flash_attn}",
    )


def judge(load: Load, devices: Sequence[Device]) -> tuple[Trust, str]:
    """Whether the model may run on these GPUs together, and why not."""
    for device in devices:
        if device.name in load.excluded:
            return "failed", f"{device.name} is not used: {load.excluded[device.name]}"
    if not load.fidelity_folder:
        return "trusted", ""
    try:
        known = load_result(subject_of(load, devices), Path(load.fidelity_folder))
    except OSError as ex:
        return "failed", f"{devices[0].name} is not used: {ex}"
    if known is None:
        return "unproven", ""
    names = " and ".join(f"{device.name} ({device.description})" for device in devices)
    if known.fault:
        return "wrong", f"{names} is not used: {known.fault}"
    if known.slow and load.device == "auto":
        return "slow", f"{names} is slower than the processor, and used by who asks for it"
    return "trusted", ""


def standings(load: Load, place: Placement) -> tuple[AssessedDevice, ...]:
    """Everything that can compute here, the processor first; `place`: where the model is."""
    there = library.devices()
    found = [AssessedDevice(device=device) for device in there if device.kind == "cpu"]
    for gpu in gpus(there):
        if gpu.name in place.on:
            found.append(AssessedDevice(device=gpu))
            continue
        trust, why = judge(load, [gpu])
        found.append(AssessedDevice(device=gpu, trust=trust, detail=why))
    return tuple(found)


@functools.cache
def _model(path: str) -> str:
    return fingerprint(Path(path))
