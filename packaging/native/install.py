"""Puts llama.cpp into this environment, ready-made or compiled, and holds that its parts fit.

    python -m native                        ready-made, by npm
    LLAMA=source python -m native           compiled here, which takes minutes
    python -m native FOLDER                 the libraries alone, into a folder that is empty

The functions come as llama-cpp-python's modules, whose own build is left out; the libraries lie
where that would have put them, in a folder that is replaced as a whole. Nothing of what is
installed changes before both are here and fit together.
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
    """Says what is done, and when it is done how long it took, as `packaging/step.sh` does."""
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
        subprocess.CalledProcessError: pip has said why.
    """
    command = [*PIP, "wheel", "--quiet", "--no-deps", "--require-hashes", "--no-build-isolation"]
    # pip's own cache would hand this wheel, which has no libraries, to others as if it were whole.
    command += ["--no-cache-dir", "--wheel-dir", str(scratch), "-r", str(LOCKS / "llama.txt")]
    subprocess.run(command, check=True, env=os.environ | {"SKBUILD_WHEEL_CMAKE": "false"})
    (made,) = scratch.glob("*.whl")
    return made


def fetch(folder: Path) -> None:
    """Puts the ready-made libraries into `folder`, which is empty.

    Raises:
        SystemExit: they are not to be had.
    """
    system = prebuilt.this_system()
    pin = prebuilt.pins().get(system)
    if pin is None:
        raise SystemExit(
            f"llama.cpp is not ready-made for {system}: compile it with LLAMA=source make run."
        )
    with (
        step(f"Fetching llama.cpp for {system} ({pin.bytes / 1e6:.0f} MB)"),
        tempfile.TemporaryDirectory(prefix="llama-cpp-") as scratch,
    ):
        npm = prebuilt.npm_command()
        prebuilt.unpack(prebuilt.archive(pin, Path(scratch), npm), folder)
        (folder / prebuilt.ORIGIN).write_bytes(msgspec.json.encode(pin))


def build(folder: Path) -> None:
    """Puts those libraries into `folder`, which is empty, that compile here and compute right.

    Raises:
        SystemExit: they do not compile, or none of them does.
    """
    compiled.unpack(compiled.wheel(), folder)
    with step("Trying what was compiled"):
        trial.leave_out_wrong(folder)


def check(modules: Path, folder: Path) -> None:
    """Libraries and functions are of one interface, as far as the appliance uses it.

    Raises:
        SystemExit: they are not; it has been said which.
    """
    if run(CHECK, modules, folder) != 0:
        raise SystemExit("This llama.cpp and its functions don't fit together: nothing is changed.")


def run(code: str, modules: Path, folder: Path) -> int:
    """Runs Python code in a process with other functions, in `modules`, and other libraries, in
    `folder`; its exit code."""
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
        hold: is asked about folders with the new modules and libraries, and raises what keeps the
            old ones.
    """
    # Beside the old ones, so that they can be put in their place at once.
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    for left in FOLDER.parent.glob("new-*"):  # by a process that was killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix="new-", dir=FOLDER.parent) as folder:
        scratch = Path(folder)
        modules, made, old = (scratch / name for name in ("modules", "lib", "old"))
        made.mkdir()
        with step("Getting the functions of llama.cpp (77 MB)"):
            wheel = bindings(scratch)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(modules)
        fill(made)
        with step("Comparing both"):
            hold(modules, made)
        command = [*PIP, "install", "--quiet", "--no-compile", "--no-deps", "--no-index"]
        subprocess.run([*command, "--force-reinstall", str(wheel)], check=True)
        if FOLDER.exists():
            FOLDER.replace(old)
        made.replace(FOLDER)


def main(folder: str = "") -> None:
    """Installs what `LLAMA` names; with a folder, only puts its libraries there."""
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
        raise SystemExit(f"pip ended with {ex.returncode}: llama.cpp is what it was.") from ex
    except OSError as ex:
        raise SystemExit(f"llama.cpp is what it was: {ex}") from ex
