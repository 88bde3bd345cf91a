"""llama.cpp's libraries, compiled here: taken from a llama-cpp-python wheel built with our flags.

Compiling takes minutes, so the wheel is kept in the user's cache. pip's own wheel cache would not
do: its key is the source's URL and the Python version, so it would return a wheel compiled with
other flags. The key here includes the flags and the compiler.
"""

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from platformdirs import user_cache_path

LOCKS = Path(__file__).resolve().parents[2] / "requirements"
CMAKE_ARGS = (
    # One build for any CPU: a backend for each instruction set, the best one loaded at run time.
    "-DGGML_BACKEND_DL=ON",
    "-DGGML_CPU_ALL_VARIANTS=ON",
    "-DGGML_NATIVE=OFF",
    # Image input is a separate library, which nothing here uses.
    "-DLLAVA_BUILD=OFF",
)
IS_LIBRARY = re.compile(r"(/|^)(lib|bin|scripts)/(lib)?(llama|ggml)[\w.-]*\.(so|dylib|dll)[\d.]*$")
UNUSED = re.compile(r"\.so\.\d+\.|llama-common")
"""A wheel has no symbolic links: it has each library three times, under each of its names."""
AMX_VARIANT = re.compile(r"libggml-cpu-sapphirerapids\.so$")
"""The variant that uses AMX tiles. Without it, the next best one is loaded on such a CPU."""
GOOD_GCC = 13
"""Older versions declare only 8 of the 64 bytes that `ldtilecfg` reads, and drop other stores."""
STEP = re.compile(r"\s*\[(\d+)/(\d+)\]")
"""The beginning of ninja's line for a finished step, as pip prints it."""
LOG_LINES_SHOWN = 40


def compiler() -> str:
    """The version macros of the C++ compiler; empty if there is none."""
    words = shlex.split(os.environ.get("CXX") or "c++")
    try:
        output = subprocess.run(
            [*words, "-dM", "-E", "-x", "c++", os.devnull], capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    macros = re.findall(
        r"^#define (__(?:GNUC|GNUC_MINOR|clang|clang_major)__ .+|__VERSION__ .+)$",
        output.stdout.decode(),
        re.MULTILINE,
    )
    return "\n".join(sorted(macros))


def makes_amx_wrong(compiler: str) -> bool:
    """Whether this compiler's code for AMX would trap; `compiler`: the result of `compiler()`."""
    major = re.search(r"^__GNUC__ (\d+)$", compiler, re.MULTILINE)
    return "__clang__" not in compiler and major is not None and int(major[1]) < GOOD_GCC


def wheel_folder() -> Path:
    """The folder of the wheel for this source, flags, compiler, Python and C library."""
    lock = (LOCKS / "llama.txt").read_text()
    version = re.search(r"^llama-cpp-python==(\S+)", lock, re.MULTILINE)
    if version is None:
        raise SystemExit(f"{LOCKS / 'llama.txt'} does not pin llama-cpp-python")
    parts = (
        *re.findall(r"--hash=(\S+)", lock),
        *CMAKE_ARGS,
        compiler(),
        AMX_VARIANT.pattern,
        sys.implementation.cache_tag,
        platform.system(),
        platform.machine(),
        *platform.libc_ver(),
    )
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    cache = user_cache_path("appliance", appauthor=False) / "wheels"
    return cache / f"llama-cpp-python-{version[1]}-{key}"


def progress(
    lines: Iterable[str], screen: TextIO, *, live: bool, interval: float = 1.0
) -> Iterator[str]:
    """Passes the lines of a build on, and prints its progress to `screen`.

    Args:
        live: rewrite one line every `interval` seconds; otherwise print a line every 10 %.
    """
    began = time.monotonic()
    shown_at = 0.0
    shown_tenth = -1
    for line in lines:
        yield line
        step = STEP.match(line)
        if step is None:
            continue
        done, total = int(step[1]), int(step[2])
        now = time.monotonic()
        tenth = 10 * done // total
        if now - shown_at < interval and done < total if live else tenth == shown_tenth:
            continue
        shown_at, shown_tenth = now, tenth
        minutes, seconds = divmod(int(now - began), 60)
        text = f"Compiling llama.cpp: {100 * done // total:3} %  {done}/{total}"
        screen.write(f"\r{text}  {minutes}:{seconds:02}" if live else f"{text}\n")
        screen.flush()
    if live and shown_at:
        screen.write("\n")


def compile_wheel(scratch: Path) -> Path:
    """Compiles in `scratch`; returns the wheel.

    Raises:
        SystemExit: the compile failed; its last lines are shown and its log is kept.
    """
    screen = sys.stderr
    tools = scratch / "venv"
    venv.create(tools, with_pip=True)
    bin_folder = tools / ("Scripts" if os.name == "nt" else "bin")
    pip = [str(bin_folder / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "--quiet", "--require-hashes", "-r", str(LOCKS / "llama-build.txt")],
        check=True,
        stdout=screen,
    )
    command = [*pip, "wheel", "--verbose", "--no-deps", "--require-hashes"]
    # A cached wheel could have other flags; an isolated build would fetch tools that no lock pins.
    command += ["--no-cache-dir", "--no-binary", "llama-cpp-python", "--no-build-isolation"]
    command += ["--wheel-dir", str(scratch / "wheel"), "-r", str(LOCKS / "llama.txt")]
    environment = os.environ | {
        "CMAKE_ARGS": " ".join(CMAKE_ARGS),
        "PATH": os.pathsep.join((str(bin_folder), os.environ.get("PATH", os.defpath))),
    }
    log = scratch / "log.txt"
    with (
        log.open("w") as written,
        subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as build,
    ):
        assert build.stdout is not None
        for line in progress(build.stdout, screen, live=screen.isatty()):
            written.write(line)
    if build.returncode != 0:
        kept = Path(tempfile.gettempdir()) / f"llama-cpp-python-build-{os.getpid()}.log"
        shutil.copy(log, kept)
        tail = log.read_text().splitlines()[-LOG_LINES_SHOWN:]
        print(*tail, sep="\n", file=screen)
        raise SystemExit(f"llama.cpp did not compile; the whole log is in {kept}")
    return next((scratch / "wheel").glob("*.whl"))


def unpack(wheel: Path, folder: Path) -> list[Path]:
    """Extracts the libraries from a wheel, each under the one name that others load it by."""
    unwanted = [UNUSED, *([AMX_VARIANT] if makes_amx_wrong(compiler()) else [])]
    found = {}
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            name = Path(entry.filename).name
            if IS_LIBRARY.search(entry.filename) and not any(p.search(name) for p in unwanted):
                found[name] = entry.filename
        # If a library has a version in its name, others load it by that name.
        versioned = {name.partition(".so.")[0] for name in found if ".so." in name}
        for name in [n for n in found if n.endswith(".so") and n[:-3] in versioned]:
            del found[name]
        for name, inside in found.items():
            (folder / name).write_bytes(archive.read(inside))
    return [folder / name for name in found]


def wheel() -> Path:
    """The cached wheel, compiled now if there is none.

    Raises:
        SystemExit: it does not compile.
    """
    folder = wheel_folder()
    found = next(folder.glob("*.whl"), None)
    if found is None:
        print(
            "Compiling llama.cpp: about 10 minutes on two cores, and only once",
            file=sys.stderr,
        )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="llama-wheel-") as scratch:
            made = compile_wheel(Path(scratch))
            # Atomic, even when two builds end at the same time.
            part = folder / f"{made.name}.{os.getpid()}"
            shutil.copy(made, part)
            found = part.replace(folder / made.name)
    return found
