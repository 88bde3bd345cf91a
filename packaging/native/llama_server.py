"""llama.cpp's own server, which the benchmarks compare with: the same source and libraries.

    python -m native.llama_server           compiles it unless it is cached, and prints its path

The parts that the prebuilt libraries lack, the server and its image and audio input (`mtmd`), are
compiled here. That needs a C++ compiler and git, and a few minutes once: the program is kept in the
user's cache.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from platformdirs import user_cache_path

from appliance.system import llama_libraries
from native import compiled, prebuilt, source
from native.prebuilt import Pin

FOLDERS = ("common", "ggml/include", "include", "src", "tools/mtmd", "tools/server", "vendor")
SOURCES = (
    "tools/server/*.cpp",
    "tools/mtmd/clip.cpp",
    "tools/mtmd/mtmd.cpp",
    "tools/mtmd/mtmd-audio.cpp",
    "tools/mtmd/mtmd-helper*.cpp",
    "tools/mtmd/mtmd-image.cpp",
    "tools/mtmd/models/*.cpp",
    "vendor/cpp-httplib/httplib.cpp",
    "vendor/hash/hash.cpp",
    "vendor/hash/*/*.c",
)
INCLUDED = (*FOLDERS, "vendor/cpp-httplib", "vendor/hash", ".")
OPTIONS = (
    "-O3",
    "-DNDEBUG",
    "-w",
    "-pthread",
    # As in llama.cpp's own build, which the libraries come from.
    "-DLLAMA_SUBPROCESS",
    "-DLLAMA_SHARED",
    "-DGGML_SHARED",
    "-DGGML_BACKEND_SHARED",
    "-DCPPHTTPLIB_FORM_URL_ENCODED_PAYLOAD_MAX_LENGTH=1048576",
    "-DCPPHTTPLIB_LISTEN_BACKLOG=512",
    "-DCPPHTTPLIB_REQUEST_URI_MAX_LENGTH=32768",
    "-DCPPHTTPLIB_TCP_NODELAY=1",
)
NO_PAGE = """
#pragma once
#include <array>
#include <cstddef>
#include <string>
struct llama_ui_asset { std::string name; const unsigned char * data; std::size_t size; };
inline std::array<llama_ui_asset, 0> llama_ui_get_assets() { return {}; }
"""
"""Replaces the header that llama.cpp's build generates from its web UI: there is none."""


def program() -> Path:
    """The cached program, its libraries beside it; compiled now if there is none.

    Raises:
        SystemExit: it cannot be compiled here; the message says why.
    """
    of, ready = source.pin(), prebuilt.pins().get(prebuilt.this_system())
    if sys.platform != "linux" or ready is None:
        raise SystemExit("llama-server is compiled for the benchmarks on Linux only.")
    if of.version != ready.version:
        raise SystemExit(f"The source is {of.version}, the libraries are {ready.version}.")
    compiler = compiled.compiler()
    if not compiler or shutil.which("git") is None:
        raise SystemExit("llama-server needs a C++ compiler and git. Debian: build-essential, git")
    parts = (of.integrity, ready.integrity, compiler, *SOURCES, *OPTIONS, NO_PAGE)
    key = hashlib.sha256("\n".join((*parts, *platform.libc_ver())).encode()).hexdigest()[:16]
    cache = user_cache_path("appliance", appauthor=False) / "llama-server"
    kept = cache / f"{of.version}-{key}"
    if not kept.is_dir():
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            made = _make(of, ready, Path(scratch))
            # Atomic. If another build was finished first, its program stays.
            try:
                made.rename(kept)
            except OSError:
                if not kept.is_dir():
                    raise
    return kept / "llama-server"


def _make(of: Pin, ready: Pin, scratch: Path) -> Path:
    npm = shlex.split(os.environ.get("NPM") or "npm")
    made, tree = scratch / "made", scratch / "tree"
    made.mkdir()
    size = (of.bytes + ready.bytes) / 1e6
    print(f"Fetching llama.cpp's source and libraries ({size:.0f} MB)", file=sys.stderr)
    prebuilt.unpack(prebuilt.archive(ready, scratch, npm), made, unused=())
    source.check_out(prebuilt.archive(of, scratch, npm), tree, FOLDERS)
    (tree / "ui.h").write_text(NO_PAGE)
    lines = compile_all(tree, [file for each in SOURCES for file in sorted(tree.glob(each))])
    for _ in compiled.progress(lines, sys.stderr, live=sys.stderr.isatty()):
        pass
    found = llama_libraries.found(made)
    command = [*_compiler(), "-pthread", "-Wl,-rpath,$ORIGIN", "-Wl,--allow-shlib-undefined"]
    command += ["-o", str(made / "llama-server"), *map(str, sorted(tree.rglob("*.o")))]
    command += [str(found[name]) for name in ("llama-common", "llama", "ggml", "ggml-base")]
    subprocess.run(command, check=True)
    return made


def compile_all(tree: Path, sources: list[Path]) -> Iterator[str]:
    """Compiles on all CPUs; yields a line for each finished file, as ninja prints it.

    Raises:
        SystemExit: a file does not compile; the compiler has printed why.
    """

    def one(file: Path) -> Path:
        # .c files are C, except for one that llama.cpp compiles as C++ too.
        c = file.suffix == ".c" and file.name != "sha1.c"
        language = ["-x", "c"] if c else ["-x", "c++", "-std=c++17"]
        command = [*_compiler(), *language, *OPTIONS, "-c", str(file)]
        command += [f"-I{tree / folder}" for folder in INCLUDED]
        done = subprocess.run([*command, "-o", f"{file}.o"], check=False)
        if done.returncode != 0:
            raise SystemExit(f"llama-server did not compile: {file.relative_to(tree)}")
        return file

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [pool.submit(one, file) for file in sources]
        for number, done in enumerate(as_completed(running), 1):
            try:
                yield f"[{number}/{len(running)}] {done.result().name}"
            except SystemExit:
                pool.shutdown(cancel_futures=True)
                raise


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX") or "c++")


if __name__ == "__main__":
    print(program())
