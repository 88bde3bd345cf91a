"""Fingerprints of what measurements depend on: the processor, and the build of llama.cpp."""

import hashlib
import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

from appliance import __version__
from appliance.system import llama_libraries
from appliance.system.cpu import processor

_CPU_LINES = (
    *("model name", "stepping", "microcode", "flags", "Features"),
    *("CPU implementer", "CPU part", "CPU variant", "CPU revision"),
)


def hardware() -> str:
    """Processor, its instruction sets, the cores and threads that this process may use; 16 hex
    digits."""
    here = processor()
    return _digest(platform.machine(), _processor(), f"{here.cores} {here.threads}")


def processor_kind() -> str:
    """Processor, its instruction sets and its microcode; 16 hex digits."""
    return _digest(platform.machine(), _processor())


def build() -> str:
    """The llama.cpp that would run here, native files included; 16 hex digits.

    Nothing of it is imported: the appliance itself never loads native code of models.
    """
    try:
        version = importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        version = f"of appliance {__version__}"
    return _digest(
        version,
        *(f"{file.name} {file.stat().st_size}" for file in llama_libraries.found().values()),
    )


def _processor() -> str:
    if sys.platform == "linux":
        try:
            lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        except OSError:
            return platform.processor()
        return "\n".join(sorted({line for line in lines if line.startswith(_CPU_LINES)}))
    if sys.platform == "darwin":
        names = ["machdep.cpu.brand_string", "hw.model"]
        output = subprocess.run(
            ["/usr/sbin/sysctl", "-n", *names], capture_output=True, text=True, check=False
        )
        return output.stdout
    return platform.processor()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
