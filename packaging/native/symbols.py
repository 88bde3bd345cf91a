"""Checks libraries of other systems, which cannot be run here, for what the appliance calls.

    python -m native.symbols            checks every pinned package

Each is fetched, and its libraries are read as files: what they export, which libraries they load,
and which processor they are for. More cannot be checked without running them.
"""

import io
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import lief

from native import prebuilt, relied_on

MACHINES = {
    "x64": ("X86_64", "AMD64"),
    "arm64": ("AARCH64", "ARM64"),
}
"""Names of processors in library files, by Node's names."""
OF_THE_SYSTEM = (
    *("libc.so.", "libm.so.", "libgcc_s.so.", "libstdc++.so.", "ld-linux"),
    *("/usr/lib/", "/System/Library/"),
    *("kernel32.dll", "advapi32.dll", "api-ms-win-", "msvcp140.dll", "vcruntime140"),
)
OF_A_DRIVER = ("libvulkan.so.", "libcuda.so.", "libcudart.so.", "libcublas.so.", "vulkan-1.dll")
"""Libraries without which a backend is skipped."""

Binary = lief.ELF.Binary | lief.PE.Binary | lief.MachO.Binary


class Contents:
    """The combined contents of the libraries in an archive."""

    def __init__(self, packed: Path) -> None:
        """
        Raises:
            ValueError: a library has an unknown format.
        """
        self.names: set[str] = set()
        self.exported: set[str] = set()
        self.loaded: set[str] = set()
        """Names or paths of the libraries that these load."""
        self.machines: set[str] = set()
        with tarfile.open(packed) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                stream = archive.extractfile(member) if prebuilt.is_library(name) else None
                if stream is not None:
                    self.names.add(name)
                    self._take(name, stream.read())

    def _take(self, name: str, content: bytes) -> None:
        library = lief.parse(io.BytesIO(content))
        if isinstance(library, lief.MachO.FatBinary):
            library = library.at(0)
        if isinstance(library, lief.PE.Binary):
            export = library.get_export()
            self.exported |= {str(one.name) for one in export.entries} if export else set()
            self.loaded |= {str(one.name) for one in library.imports}
            self.machines.add(library.header.machine.name)
        elif isinstance(library, lief.MachO.Binary):
            self.exported |= {str(one.name)[1:] for one in library.exported_symbols}
            self.loaded |= {str(one.name) for one in library.libraries}
            self.machines.add(library.header.cpu_type.name)
        elif isinstance(library, lief.ELF.Binary):
            self.exported |= {str(one.name) for one in library.exported_symbols}
            self.loaded |= {str(one) for one in library.libraries}
            self.machines.add(library.header.machine_type.name)
        else:
            raise ValueError(f"{name} has an unknown library format")


def faults(packed: Path, system: str, functions: Iterable[str]) -> list[str]:
    """Reasons why the appliance could not use these libraries, a sentence each.

    Args:
        packed: an archive from npm.
        system: as in `prebuilt.json`.
        functions: names of the functions that are called.
    """
    try:
        inside = Contents(packed)
    except (ValueError, OSError, tarfile.TarError) as ex:
        return [f"{packed.name} cannot be read: {ex}"]
    found = [f"there is no function {name}" for name in functions if name not in inside.exported]
    known = MACHINES.get(system.split("-")[1], ())
    found += [f"it is for {one}" for one in sorted(inside.machines) if one.upper() not in known]
    for wanted in sorted(inside.loaded):
        elsewhere = wanted.lower().startswith(OF_THE_SYSTEM) or wanted.startswith(
            (*OF_THE_SYSTEM, *OF_A_DRIVER)
        )
        if not elsewhere and PurePosixPath(wanted).name not in inside.names:
            found.append(f"it loads {wanted}, which is not inside")
    return found


def main() -> None:
    """Prints the result for each package; the exit code is 1 if one has a fault."""
    npm = prebuilt.npm_command()
    functions = relied_on.functions()
    bad = False
    for system, pin in prebuilt.pins().items():
        with tempfile.TemporaryDirectory(prefix="llama-cpp-") as scratch:
            found = faults(prebuilt.archive(pin, Path(scratch), npm), system, functions)
        bad |= bool(found)
        result = "; ".join(found) or f"all {len(functions)} functions are there"
        print(f"{system}, {pin.package} {pin.version}: {result}", flush=True)
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
