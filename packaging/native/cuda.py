"""llama.cpp's prebuilt CUDA backend for NVIDIA's GPUs, and the NVIDIA libraries it needs.

    python -m native.cuda         installs into `llama_cpp/cuda` of this environment

It is an add-on of 700 MB: the backend comes from an npm package like all others, NVIDIA's libraries
from its wheels on PyPI. Everything else is part of the driver. Of the two backends on npm, this is
the one for RTX 30 and newer (compute capability 8.6, 8.9, 12.0 and 12.1) with driver version 580 or
newer; other GPUs are used through Vulkan, which every build has.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from native import prebuilt
from native.compiled import LOCKS
from native.install import FOLDER, PIP, step

SYSTEM = "linux-x64"
TARGET = FOLDER.with_name("cuda")
BACKEND = "libggml-cuda.so"
BASE = "libggml-base.so"
"""The library that the backend was built with; the installed one must be identical."""
FITS = "fits.sha256"
"""A file beside the backend with the digest of that library; see `system.llama_libraries`."""
NVIDIA = ("libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13")
NVIDIA_LICENCE = "NVIDIA-LICENSE.txt"


def check() -> prebuilt.Pin:
    """The backend's package, if it matches the installed libraries.

    Raises:
        SystemExit: it does not.
    """
    if prebuilt.this_system() != SYSTEM:
        raise SystemExit(f"The CUDA add-on is for {SYSTEM} only.")
    pins = prebuilt.pins()
    origin, pin = prebuilt.origin(FOLDER), pins[f"{SYSTEM}-cuda"]
    if origin is None or origin.version != pin.version:
        raise SystemExit(
            f"The CUDA add-on needs the prebuilt llama.cpp {pin.version}, and another one is "
            "installed: run `make run` without LLAMA=source."
        )
    return pin


def get_backend(pin: prebuilt.Pin, folder: Path, scratch: Path) -> None:
    """Puts the backend into `folder`.

    Raises:
        SystemExit: it cannot be fetched, or was built for another llama.cpp.
    """
    unpacked = scratch / "unpacked"
    unpacked.mkdir()
    prebuilt.unpack(prebuilt.archive(pin, scratch, prebuilt.npm_command()), unpacked)
    base = (unpacked / BASE).read_bytes()
    if base != (FOLDER / BASE).read_bytes():
        raise SystemExit("The CUDA backend was built for another llama.cpp than the installed one.")
    (folder / FITS).write_text(hashlib.sha256(base).hexdigest() + "\n")
    for name in (BACKEND, prebuilt.LICENCE):
        shutil.move(unpacked / name, folder / name)


def get_nvidias(folder: Path, scratch: Path) -> None:
    """Puts NVIDIA's libraries into `folder`, and their licence.

    Raises:
        SystemExit: pip cannot fetch them, and has printed why.
    """
    command = [*PIP, "download", "--quiet", "--no-deps", "--require-hashes", "--no-cache-dir"]
    command += ["--dest", str(scratch), "-r", str(LOCKS / "cuda.txt")]
    if subprocess.run(command, check=False).returncode != 0:
        raise SystemExit("pip could not fetch NVIDIA's libraries.")
    missing = set(NVIDIA)
    for wheel in sorted(scratch.glob("nvidia_*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                name = Path(entry.filename).name
                licence = name.lower() == "license.txt"
                if name in missing or licence:
                    with archive.open(entry) as source:
                        target = folder / (NVIDIA_LICENCE if licence else name)
                        with target.open("wb") as out:
                            shutil.copyfileobj(source, out)
                    missing.discard(name)
        wheel.unlink()
    if missing:
        raise SystemExit(f"NVIDIA's packages lack {', '.join(sorted(missing))}.")


def main() -> None:
    """Installs it, completely or not at all."""
    pin = check()
    with tempfile.TemporaryDirectory(prefix="new-", dir=FOLDER.parent) as folder:
        scratch, made = Path(folder), Path(folder) / "cuda"
        made.mkdir()
        with step(f"Fetching the CUDA backend ({pin.bytes / 1e6:.0f} MB)"):
            get_backend(pin, made, scratch)
        with step("Fetching NVIDIA's libraries (403 MB)"):
            get_nvidias(made, scratch)
        if TARGET.exists():
            TARGET.replace(scratch / "old")
        made.replace(TARGET)
    sys.stdout.write(f"Installed: {os.path.relpath(TARGET)}\n")


if __name__ == "__main__":
    main()
