"""Installs llama.cpp into this environment, prebuilt or compiled, and checks that its parts match.

    python -m native                        prebuilt, by npm
    LLAMA=source python -m native           compiled here, which takes minutes
    python -m native FOLDER                 the libraries alone, into an empty folder

The bindings are llama-cpp-python's modules, without its own build of llama.cpp; the libraries go
where that build would have put them, in a folder that is replaced as a whole. The installation
changes only when both parts are available and match.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from native import compiled, prebuilt, trial
from native.compiled import LOCKS

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
FOLDER = Path(sysconfig.get_path("platlib")) / "llama_cpp" / "lib"
CHECK = "from appliance.worker.runners.llama_cpp.native.interface import main; main()"


@contextmanager
def step(words: str) -> Iterator[None]:
    """Prints a step, and at its end how long it took, as `packaging/step.sh` does."""
    print(words, "…", flush=True)
    began = time.monotonic()
    ended = "failed after "
    try:
        yield
        ended = ""
    finally:
        print(f"{words}: {ended}{time.monotonic() - began:.0f} s", flush=True)


def bindings(scratch: Path) -> Path:
    """A wheel of llama-cpp-python's modules without its libraries: nothing is compiled.

    Raises:
        subprocess.CalledProcessError: pip failed and has printed why.
    """
    command = [*PIP, "wheel", "--quiet", "--no-deps", "--require-hashes", "--no-build-isolation"]
    # pip's cache would return this wheel, which has no libraries, to others as if it were complete.
    command += ["--no-cache-dir", "--wheel-dir", str(scratch), "-r", str(LOCKS / "llama.txt")]
    subprocess.run(command, check=True, env=os.environ | {"SKBUILD_WHEEL_CMAKE": "false"})
    (made,) = scratch.glob("*.whl")
    return made


def fetch(folder: Path) -> None:
    """Puts the prebuilt libraries into `folder`, which is empty.

    Raises:
        SystemExit: they are not available.
    """
    system = prebuilt.this_system()
    pin = prebuilt.pins().get(system)
    if pin is None:
        raise SystemExit(
            f"There is no prebuilt llama.cpp for {system}: compile it with LLAMA=source make run."
        )
    with (
        step(f"Fetching llama.cpp for {system} ({pin.bytes / 1e6:.0f} MB)"),
        tempfile.TemporaryDirectory(prefix="llama-cpp-") as scratch,
    ):
        npm = prebuilt.npm_command()
        prebuilt.unpack(prebuilt.archive(pin, Path(scratch), npm), folder)
        (folder / prebuilt.ORIGIN).write_bytes(msgspec.json.encode(pin))


def build(folder: Path) -> None:
    """Compiles the libraries into `folder`, which is empty, and leaves out those that fail a check.

    Raises:
        SystemExit: they do not compile, or none computes correctly.
    """
    compiled.unpack(compiled.wheel(), folder)
    with step("Testing the compiled libraries"):
        trial.leave_out_wrong(folder)


def check(modules: Path, folder: Path) -> None:
    """Checks that libraries and bindings have the same interface, as far as the appliance uses it.

    Raises:
        SystemExit: they don't; the differences have been printed.
    """
    if run(CHECK, modules, folder) != 0:
        raise SystemExit("This llama.cpp and its bindings do not match: nothing was changed.")


def run(code: str, modules: Path, folder: Path) -> int:
    """Runs Python code in a process with the bindings in `modules` and the libraries in `folder`;
    its exit code."""
    root = LOCKS.parent
    environment = os.environ | {
        "LLAMA_CPP_LIB_PATH": str(folder),
        "PYTHONPATH": os.pathsep.join(map(str, (modules, root, root / "packaging"))),
    }
    return subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode


def install(
    fill: Callable[[Path], None] = fetch, hold: Callable[[Path, Path], None] = check
) -> None:
    """Installs both.

    Args:
        fill: puts libraries into a folder.
        hold: called with the folders of the new modules and libraries; raises to keep the old ones.
    """
    # On the same file system as the old ones, so that they can be replaced by a rename.
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    for left in FOLDER.parent.glob("new-*"):  # left by a process that was killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix="new-", dir=FOLDER.parent) as folder:
        scratch = Path(folder)
        modules, made, old = (scratch / name for name in ("modules", "lib", "old"))
        made.mkdir()
        with step("Building llama.cpp's bindings (77 MB to download)"):
            wheel = bindings(scratch)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(modules)
        fill(made)
        with step("Checking that libraries and bindings match"):
            hold(modules, made)
        command = [*PIP, "install", "--quiet", "--no-compile", "--no-deps", "--no-index"]
        subprocess.run([*command, "--force-reinstall", str(wheel)], check=True)
        if FOLDER.exists():
            FOLDER.replace(old)
        made.replace(FOLDER)


def main(folder: str = "") -> None:
    """Installs what `LLAMA` selects; with a folder, only puts the libraries there."""
    sources = {"prebuilt": fetch, "source": build}
    source = os.environ.get("LLAMA") or "prebuilt"
    if source not in sources:
        raise SystemExit(f"LLAMA is {source!r}: it must be `prebuilt` or `source`.")
    try:
        if folder:
            sources[source](Path(folder))
        else:
            install(sources[source])
    except subprocess.CalledProcessError as ex:
        raise SystemExit(f"pip exited with {ex.returncode}: nothing was changed.") from ex
    except OSError as ex:
        raise SystemExit(f"llama.cpp was not installed: {ex}") from ex
