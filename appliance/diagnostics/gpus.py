"""The GPUs of this machine, as `appliance doctor` shows them: which there are, how their
results compare with the processor's, and why there are none."""

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from appliance.config import paths
from appliance.engine.device_results import ComparisonResult, all_results
from appliance.engine.protocol import Device
from appliance.system import llama_libraries
from appliance.system.units import format_bytes

NVIDIA = Path("/proc/driver/nvidia/version")


class User(NamedTuple):
    """Whose rights count."""

    uid: int
    groups: frozenset[int]

    @classmethod
    def now(cls) -> "User":
        """Who runs this."""
        if sys.platform == "win32":
            return cls(0, frozenset())
        return cls(os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))

    def may_use(self, node: Path) -> bool:
        """Whether reading and writing are allowed."""
        info = node.stat()
        if self.uid == 0:
            return True
        shift = 6 if info.st_uid == self.uid else 3 if info.st_gid in self.groups else 0
        return info.st_mode >> shift & 6 == 6


def compared(library: dict[str, Any]) -> dict[str, list[str]]:
    """What comparisons say of each GPU, a sentence each; by its name.

    Args:
        library: what `build_info.probe` found.
    """
    results = all_results(paths.fidelity_dir())
    devices = msgspec.convert(library.get("devices", []), list[Device])
    found = {}
    for device in devices:
        if device.family != "cpu":
            digest = llama_libraries.digest(device.family)
            about = [it for it in results if it.subject.is_about(device, digest)]
            found[device.name] = [_sentence(result) for result in about]
    return found


def _sentence(result: ComparisonResult) -> str:
    model = Path(result.source).name
    names = " and ".join(
        f"{name} ({description})"
        for name, description in zip(
            result.subject.devices, result.subject.descriptions, strict=True
        )
    )
    if result.fault:
        return f"{names} is not used for {model}: {result.fault}"
    pace = "" if result.pace is None else f", at {result.pace:.1f} of its pace"
    return f"{names} says what the processor says with {model}{pace}"


def lines(library: dict[str, Any], found: dict[str, list[str]]) -> list[str]:
    """The report's lines on the devices."""
    devices = msgspec.convert(library["devices"], list[Device])
    found_lines = []
    for device in devices:
        driver = f", {device.driver}" if device.driver else ""
        found_lines.append(
            f"device {device.name}: {device.description} ({device.family}{driver}), "
            f"{format_bytes(device.free, 'GB')} free of {format_bytes(device.total, 'GB')}"
        )
        found_lines += [f"device {sentence}" for sentence in found.get(device.name, [])]
    if all(device.family == "cpu" for device in devices):
        found_lines.append(f"device GPU none: {why_none(library.get('unusable', {}))}")
    return found_lines


def why_none(unusable: dict[str, str], dev: Path = Path("/dev"), user: User | None = None) -> str:
    """Why no GPU is found, and the remedy.

    Args:
        unusable: backends that are here and could not be loaded, and why.
        dev: the folder of devices.
        user: whose permissions are checked; None: the current user.
    """
    if "gpus" in unusable:
        return f"looking for one ends the process: {unusable['gpus']}"
    user = user or User.now()
    nodes = sorted((dev / "dri").glob("renderD*")) if (dev / "dri").is_dir() else []
    closed = [node for node in nodes if not user.may_use(node)]
    if closed:
        group = _group(closed[0].stat())
        return f"{closed[0]} is there, and this user may not use it: the group {group} may"
    loader = unusable.get("vulkan", "")
    if nodes and loader:
        return (
            f"{nodes[0]} is there, and Vulkan cannot be loaded ({loader}): Debian's libvulkan1, "
            "Fedora's vulkan-loader"
        )
    if NVIDIA.exists():
        return (
            "NVIDIA's driver is here, and neither its Vulkan nor CUDA is found: libvulkan1, or the "
            "package appliance-cuda"
        )
    if nodes:
        return f"{nodes[0]} is there, and no driver of Vulkan's knows it: mesa-vulkan-drivers"
    return "none is here; models run on the processor"


def _group(info: os.stat_result) -> str:
    if sys.platform == "win32":
        return str(info.st_gid)
    import grp

    try:
        return grp.getgrgid(info.st_gid).gr_name
    except KeyError:
        return str(info.st_gid)
