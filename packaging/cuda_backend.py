"""Compiles llama.cpp's backend for NVIDIA's processors: `build/cuda/libggml-cuda.so`.

    CUDA_ARCHITECTURES="86;89" python packaging/cuda_backend.py

The source is the one that the wheel is made of, so the two fit together. The toolkit's `nvcc` is
found by CUDACXX or on PATH. Without CUDA_ARCHITECTURES it is for all that llama.cpp knows, which
takes an hour; an older architecture's code serves newer processors as well, more slowly.
The wheel stays as it is: a backend is one more library, loaded where its driver is.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

from native.compiled import LOCKS

TARGET = LOCKS.parent / "build" / "cuda" / "libggml-cuda.so"
FLAGS = [
    *("-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON"),
    *("-DGGML_BACKEND_DL=ON", "-DGGML_NATIVE=OFF", "-DGGML_CUDA=ON"),
    # Not everybody who has a GPU has NVIDIA's library for several of them.
    "-DGGML_CUDA_NCCL=OFF",
    # Where the compiler links its C++ library in, that must stay inside: tables that two copies of
    # it share by name made llama.cpp fail to load any model (`std::bad_cast`).
    "-DCMAKE_MODULE_LINKER_FLAGS=-Wl,--exclude-libs,ALL",
    # The library alone is wanted.
    *("-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_TOOLS=OFF"),
    *("-DLLAMA_BUILD_SERVER=OFF", "-DLLAMA_CURL=OFF"),
]


def compiler() -> str:
    """Where nvcc is.

    Raises:
        SystemExit: nowhere.
    """
    found = shutil.which(os.environ.get("CUDACXX") or "nvcc")
    if found is None:
        raise SystemExit(
            "nvcc is missing: install NVIDIA's CUDA toolkit, or name its nvcc in CUDACXX."
        )
    return found


def source(scratch: Path, pip: list[str]) -> Path:
    """llama.cpp, out of the locked source of the wheel."""
    command = [*pip, "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--no-binary", "llama-cpp-python", "--no-build-isolation"]
    command += ["--dest", str(scratch / "source"), "-r", str(LOCKS / "llama.txt")]
    environment = os.environ | {
        "PATH": os.pathsep.join((str(Path(pip[0]).parent), os.environ.get("PATH", os.defpath)))
    }
    subprocess.run(command, check=True, stdout=sys.stderr, env=environment)
    (packed,) = (scratch / "source").glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(scratch / "source", filter="data")
    (found,) = (scratch / "source").glob("*/vendor/llama.cpp")
    return found


def compile_backend(scratch: Path, nvcc: str) -> Path:
    """Compiles in `scratch`; gives the library."""
    tools = scratch / "venv"
    venv.create(tools, with_pip=True)
    bin_folder = tools / "bin"
    pip = [str(bin_folder / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "--quiet", "--require-hashes", "-r", str(LOCKS / "llama-build.txt")],
        check=True,
        stdout=sys.stderr,
    )
    flags = [*FLAGS, f"-DCMAKE_CUDA_COMPILER={nvcc}"]
    flags.append(f"-DCMAKE_MAKE_PROGRAM={bin_folder / 'ninja'}")
    if architectures := os.environ.get("CUDA_ARCHITECTURES"):
        flags.append(f"-DCMAKE_CUDA_ARCHITECTURES={architectures}")
    flags += os.environ.get("CUDA_CMAKE_ARGS", "").split()
    cmake = str(bin_folder / "cmake")
    made = scratch / "made"
    subprocess.run([cmake, "-S", source(scratch, pip), "-B", made, *flags], check=True)
    subprocess.run([cmake, "--build", made, "--target", "ggml-cuda"], check=True)
    (found,) = made.glob("**/libggml-cuda.so")
    return found


def main() -> None:
    """Compiles it, whether or not it was there."""
    nvcc = compiler()
    if sys.platform != "linux":
        raise SystemExit("This is for Linux; on Windows build llama.cpp's ggml-cuda by hand.")
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cuda-backend-") as scratch:
        found = compile_backend(Path(scratch), nvcc)
        part = TARGET.with_suffix(".part")
        shutil.copy(found, part)
        part.replace(TARGET)
    print(TARGET)


if __name__ == "__main__":
    main()
