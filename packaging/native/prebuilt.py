"""llama.cpp's libraries as others compiled them: out of npm's `@node-llama-cpp/…` packages (MIT).

`prebuilt.json` pins one package for each system, and by its integrity what is in it. Nothing else
of that project is used, and no code of the package runs: npm fetches the archive, and what is a
library is taken out of it. Each system has a pin of its own, since not all of them are published
together.
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
"""Beside libraries that were not compiled here: which package they came with, as a `Pin`."""
UNUSED = ("libllama-common", "llama-common")
"""What llama.cpp's own programs share; the benchmarks' server is one."""


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One package of the registry."""

    package: str
    version: str
    integrity: str
    """`sha512-` and the archive's digest in Base64, as npm writes it."""
    bytes: int
    """Of the archive, for people who wait."""


def pins() -> dict[str, Pin]:
    """By system, such as `linux-x64`, with `-cuda` behind it for NVIDIA's backend."""
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
    """What runs npm; on Windows that is a script with an ending."""
    return [shutil.which("npm") or "npm"]


def fetch(name: str, folder: Path, npm: list[str]) -> Path:
    """A package's archive, in `folder`, as npm gives it. None of the package's code runs.

    Args:
        name: with a version behind it, as npm writes that.
        npm: the command line that runs npm.

    Raises:
        SystemExit: npm cannot get it, and has said why.
    """
    packed = subprocess.run(
        [*npm, "pack", "--loglevel=error", "--ignore-scripts", name],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if packed.returncode != 0:
        raise SystemExit(f"npm could not get {name} (exit code {packed.returncode}).")
    return folder / packed.stdout.split()[-1]


def archive(pin: Pin, folder: Path, npm: list[str]) -> Path:
    """The package's archive, in `folder`, as it is pinned.

    Raises:
        SystemExit: npm cannot get it, or it is another one.
    """
    name = f"{pin.package}@{pin.version}"
    found = fetch(name, folder, npm)
    if (given := integrity(found)) != pin.integrity:
        raise SystemExit(f"{name} is not the package that is pinned: it has {given}.")
    return found


def integrity(packed: Path) -> str:
    """Of an archive, as npm writes it."""
    digest = hashlib.sha512(packed.read_bytes()).digest()
    return f"sha512-{base64.b64encode(digest).decode()}"


def is_library(name: str, unused: tuple[str, ...] = UNUSED) -> bool:
    """Whether a file in an archive is one that the appliance wants."""
    return name.endswith(LIBRARY_ENDINGS) and not name.startswith(unused)


def unpack(packed: Path, folder: Path, *, unused: tuple[str, ...] = UNUSED) -> list[Path]:
    """Takes the libraries out of an archive, and the text of its licence."""
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
