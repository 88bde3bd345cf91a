"""Copies of the installed libraries in which one variant has a fault, like a miscompiled one."""

import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.system import llama_libraries
from appliance.tuning.variants.protocol import VariantOutcome, VariantVerdict
from appliance.tuning.variants.verify import choose


@dataclass(frozen=True)
class Fault:
    x86: str
    arm: str
    outcome: VariantOutcome

    @property
    def code(self) -> bytes:
        """Replacements for a function's first instructions."""
        return bytes.fromhex(self.x86 if platform.machine() in ("x86_64", "AMD64") else self.arm)


FAULTS = {
    "traps": Fault("0f0b", "00000000", "died"),  # ud2, udf
    "hangs": Fault("ebfe", "00000014", "hung"),  # a jump to itself
    "wrong": Fault("c3", "c0035fd6", "wrong"),  # ret: the result is whatever the register held
}
KERNELS = ("ggml_vec_dot_q4_1_q8_1", "ggml_vec_dot_q8_0_q8_0")
"""The functions that do the embedded model's multiplications, tuned or not."""


def best_variant(verdicts: Iterable[VariantVerdict]) -> str:
    chosen = choose(list(verdicts))
    assert chosen
    return chosen.variant


def plant(folder: Path, variant: str, fault: str) -> None:
    """Fills `folder` with links to the libraries, and a copy of the variant with the fault."""
    for name, file in llama_libraries.found().items():
        target = folder / file.name
        if name == f"ggml-cpu-{variant}":
            code = bytearray(file.read_bytes())
            for kernel in KERNELS:
                start = address(file, kernel)
                code[start : start + len(FAULTS[fault].code)] = FAULTS[fault].code
            target.write_bytes(code)
        else:
            target.symlink_to(file)


def address(library: Path, function: str) -> int:
    """The offset of its code in the file."""
    listed = subprocess.run(
        ["nm", "--dynamic", "--defined-only", library], capture_output=True, text=True, check=True
    ).stdout
    for line in listed.splitlines():
        value, _, name = line.split()
        if name == function:
            return int(value, 16) - shift(library)
    pytest.fail(f"{library.name} has no function {function}")


def shift(library: Path) -> int:
    """The code's offset between memory and file."""
    sections = subprocess.run(
        ["objdump", "--section-headers", "--section=.text", library],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    fields = next(line for line in sections.splitlines() if ".text" in line).split()
    return int(fields[3], 16) - int(fields[5], 16)
