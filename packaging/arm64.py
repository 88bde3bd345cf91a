"""Freezes and packs the server for arm64 on a machine of another processor.

    python packaging/arm64.py      dist/arm64 gets the frozen folder, .deb, .rpm and .tar.gz

It is frozen by `make frozen-server`, as everywhere, in an arm64 Debian whose programs qemu runs.
Building the page and packaging don't depend on the processor: this machine does both.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import debian

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "arm64"
SYSTEM = BUILD / "debian"
DIST = ROOT / "dist" / "arm64"
SOURCE = "/src"
PACKAGES = ("python3", "python3-venv", r"?name(^libpython3\.[0-9]+$)", "make", "git", "binutils")
"""PyInstaller bundles this Python's shared library."""
KEPT = (".venv", "build", "dist")
"""Earlier results that are kept."""


def put_source(folder: Path) -> None:
    """Copies this working tree, with uncommitted changes; an earlier copy's results are kept."""
    fresh = folder.with_name("fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    # A clone has the history that the commit is read from.
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", fresh], check=True)
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    for name in files.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, fresh / name)
    for name in KEPT:
        if (folder / name).exists():
            (folder / name).rename(fresh / name)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def main() -> None:
    """Makes everything; the Debian system and earlier results are reused."""
    if not SYSTEM.exists():
        print("Installing a Debian for arm64", flush=True)
        debian.make(SYSTEM, PACKAGES, architecture="arm64")
    debian.let_run("arm64")
    debian.introduce(SYSTEM)
    source = SYSTEM / SOURCE.lstrip("/")
    put_source(source)
    made = debian.inside(
        SYSTEM, "make", "frozen-server", folder=SOURCE, shared={ROOT / "ui": f"{SOURCE}/ui"}
    )
    if subprocess.run(made, check=False).returncode != 0:
        raise SystemExit("The server could not be frozen.")
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir(parents=True)
    (source / "dist" / "appliance-server").rename(DIST / "appliance-server")
    subprocess.run(
        [sys.executable, str(ROOT / "packaging/packages.py"), "server", "--in", str(DIST)],
        check=True,
    )


if __name__ == "__main__":
    main()
