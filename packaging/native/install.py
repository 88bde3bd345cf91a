"""Puts llama.cpp into this environment, ready-made or compiled, and holds that its parts fit.

    python -m native                        ready-made, by npm (`NPM` names its command line)
    LLAMA=source python -m native           compiled here, which takes minutes

The functions come as llama-cpp-python's modules, whose own build is left out; the libraries lie
where that would have put them, in a folder that is replaced as a whole, once the new one has been
checked.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from native import compiled, prebuilt, trial
from native.compiled import LOCKS

FOLDER = Path(sysconfig.get_path("platlib")) / "llama_cpp" / "lib"
CHECK = "from appliance.engine.runners.llama_interface import main; main()"


@contextmanager
def step(words: str) -> Iterator[None]:
    """Says what is done, and when it is done how long it took, as `packaging/step.sh` does."""
    print(words, "…", flush=True)
    began = time.monotonic()
    yield
    print(f"{words}: {time.monotonic() - began:.0f} s", flush=True)


def install_bindings() -> None:
    """llama-cpp-python's modules without its libraries: nothing is compiled.

    Raises:
        subprocess.CalledProcessError: pip has said why.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    command += ["--no-compile", "--no-deps", "--require-hashes", "--force-reinstall"]
    # pip's own cache would hand this wheel, which has no libraries, to others as if it were whole.
    command += ["--no-cache-dir", "--no-build-isolation"]
    command += ["-r", str(LOCKS / "llama.txt")]
    subprocess.run(command, check=True, env=os.environ | {"SKBUILD_WHEEL_CMAKE": "false"})


def get_libraries(source: str, folder: Path) -> None:
    """Puts the libraries into `folder`, which is empty.

    Args:
        source: `prebuilt` or `source`.

    Raises:
        SystemExit: they are not to be had.
    """
    if source == "source":
        compiled.unpack(compiled.wheel(), folder)
        return
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
        npm = shlex.split(os.environ.get("NPM") or "npm")
        prebuilt.unpack(prebuilt.archive(pin, Path(scratch), npm), folder)


def main() -> None:
    """Installs both, unless they don't fit together."""
    source = os.environ.get("LLAMA") or "prebuilt"
    if source not in ("prebuilt", "source"):
        raise SystemExit(f"LLAMA is {source!r}: it must be `prebuilt` or `source`.")
    with step("Installing the functions of llama.cpp (77 MB)"):
        install_bindings()
    made = FOLDER.with_name(f"lib.{os.getpid()}")
    made.mkdir()
    try:
        get_libraries(source, made)
        with step("Comparing both"):
            check(made)
        if source == "source":
            trial.leave_out_wrong(made)
        old = FOLDER.with_name(f"lib.old.{os.getpid()}")
        if FOLDER.exists():
            FOLDER.replace(old)
        made.replace(FOLDER)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def check(folder: Path) -> None:
    """Libraries and functions are of one interface, as far as the appliance uses it.

    Raises:
        SystemExit: they are not; it has been said which.
    """
    environment = os.environ | {"LLAMA_CPP_LIB_PATH": str(folder)}
    environment["PYTHONPATH"] = str(LOCKS.parent)
    ended = subprocess.run([sys.executable, "-c", CHECK], env=environment, check=False)
    if ended.returncode != 0:
        raise SystemExit("This llama.cpp and its functions don't fit together: nothing is changed.")
