"""llama.cpp in a separate process, for tests that may crash it or measure its memory.

Run as a module: `try FILE…` loads each file as a worker would and prints `FILE loaded` or
`FILE refused`; `sizes FILE CELLS` prints the buffers of each cell as JSON.
"""

import ctypes
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from appliance.system import llama_libraries

ROOM = 3 << 30
"""Bytes of address space for a process that tries files."""
PATIENCE = 20
"""Seconds that one file may take."""
_BUFFER = re.compile(r"(\S+)\s+(model|KV|RS|output|compute) buffer size\s*(?:=|is)\s*([\d.]+) MiB")
_CACHE = re.compile(r"size = +([\d.]+) MiB \( *\d+ cells")


def tried(files: Iterable[Path]) -> dict[Path, str]:
    """Load each file in a child: `loaded`, `refused`, or how the child died of it."""
    left = {str(file): file for file in files}
    found = {}
    while left:
        child = _child("try", *left)
        begun = ""
        for line in child.stdout.splitlines():
            name, _, verdict = line.rpartition(" ")
            if verdict == "begun":
                begun = name
            elif name in left:
                found[left.pop(name)] = verdict
        if child.returncode:
            found[left.pop(begun)] = f"died: {child.returncode} {child.stderr[-300:]}"
        else:
            assert not left, child.stderr
    return found


def loaded(files: Iterable[Path]) -> list[Path]:
    """The files that llama.cpp loaded and computed a token with."""
    return [file for file, verdict in tried(files).items() if verdict == "loaded"]


def types() -> dict[int, tuple[int, int]]:
    """Values in a block and bytes of a block, by ggml's number of a type."""
    child = _child("types")
    assert child.returncode == 0, child.stderr
    return {int(number): (values, size) for number, values, size in json.loads(child.stdout)}


def sizes(
    file: Path, cells: Sequence[dict[str, Any]], *, dry: bool = False, used: bool = False
) -> list[Counter[str]]:
    """Bytes of llama.cpp's buffers by kind, and `peak`, the process's memory, for each cell.

    `dry`: nothing is allocated, so that a file may be larger than the machine. `used`: as many
    tokens are computed as go into a batch.
    """
    child = _child("sizes", str(file), json.dumps([list(cells), dry, used]))
    assert child.returncode == 0, child.stderr
    return [Counter(json.loads(line)) for line in child.stdout.splitlines()]


def _child(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.models.llama_process", *arguments],
        cwd=Path(__file__).parents[2],
        # Otherwise llama.cpp calls a debugger for a backtrace when it aborts; and GPU drivers
        # would take what is in none of its buffers.
        env={**os.environ, "GGML_NO_BACKTRACE": "1", "VK_DRIVER_FILES": os.devnull},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


# -- in the child ---------------------------------------------------------------------------------


class _Native:
    """The library, and the lines that it logs."""

    def __init__(self) -> None:
        from appliance.worker.runners.llama_cpp.native.bindings import lib, native

        self.lib = lib
        self.lines: list[str] = []
        self._callback = lib.llama_log_callback(self._log)
        lib.llama_log_set(self._callback, None)
        load = native("ggml_backend_load_all_from_path", None, ctypes.c_char_p)
        load(str(llama_libraries.folder()).encode())
        lib.llama_backend_init()

    def _log(self, level: int, text: bytes, _: object) -> None:
        line = text.decode("utf-8", "replace")
        if "size" in line or level >= 4:
            self.lines.append(line.strip())

    def load(self, path: str, **changes: Any) -> Any:
        params = self.lib.llama_model_default_params()
        for name, value in changes.items():
            setattr(params, name, value)
        return self.lib.llama_model_load_from_file(path.encode(), params)

    def context(self, model: Any, **changes: Any) -> Any:
        params = self.lib.llama_context_default_params()
        for name, value in changes.items():
            setattr(params, name, value)
        return self.lib.llama_init_from_model(model, params)

    def use(self, model: Any) -> bool:
        """Do what a worker does with a model until its first token."""
        lib = self.lib
        context = self.context(
            model, n_ctx=64, n_batch=32, n_ubatch=32, n_seq_max=2, n_threads=1, n_threads_batch=1
        )
        if not context:
            return False
        vocab = lib.llama_model_get_vocab(model)
        tokens = (lib.llama_token * 64)()
        count = lib.llama_tokenize(vocab, b"Hello, you\n", 11, tokens, 64, False, True)
        piece = ctypes.create_string_buffer(64)
        for token in range(min(lib.llama_vocab_n_tokens(vocab), 300)):
            lib.llama_token_to_piece(vocab, token, piece, 64, 0, True)
            lib.llama_vocab_get_attr(vocab, token)
        if count > 0:
            if lib.llama_decode(context, lib.llama_batch_get_one(tokens, min(count, 32))):
                return False
            chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_greedy())
            lib.llama_sampler_sample(chain, context, -1)
            lib.llama_sampler_free(chain)
        lib.llama_free(context)
        return True

    def taken(self) -> Counter[str]:
        """Bytes by kind, from the log; the debug lines at a context's end are the exact ones.
        Weights that are repacked for the processor are there twice, `again`."""
        found: dict[tuple[str, str], float] = {}
        caches = 0.0
        for line in self.lines:
            match = _BUFFER.search(line)
            if match and match[2] in ("KV", "RS"):
                continue
            if match:
                kind = "again" if match[1].endswith("_REPACK") else match[2]
                found[match[1], kind] = float(match[3])
            cache = _CACHE.search(line)
            caches += float(cache[1]) if cache else 0
        total: Counter[str] = Counter()
        for (_, kind), size in found.items():
            total[kind] += int(size * 2**20)
        total["cache"] = int(caches * 2**20)
        return total


def _try(files: list[str]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    native = _Native()
    for file in files:
        print(file, "begun", flush=True)
        native.lines.clear()
        signal.alarm(PATIENCE)
        model = native.load(file)
        used = bool(model) and native.use(model)
        if model:
            native.lib.llama_model_free(model)
        print(file, "loaded" if used else "refused", flush=True)


def _sizes(file: str, cells: list[dict[str, Any]], dry: bool, used: bool) -> None:
    native = _Native()
    model = native.load(file, **({"no_alloc": True, "load_mode": 0} if dry else {}))
    assert model, native.lines
    weights = native.taken()
    for cell in cells:
        native.lines.clear()
        context = native.context(model, **cell)
        assert context, native.lines
        if used:
            tokens = (native.lib.llama_token * cell["n_batch"])(*range(cell["n_batch"]))
            assert not native.lib.llama_decode(
                context, native.lib.llama_batch_get_one(tokens, len(tokens))
            )
        # Not getrusage's value: it includes the process that started this one.
        status = Path("/proc/self/status").read_text("ascii")
        peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
        native.lib.llama_free(context)
        print(json.dumps(weights + native.taken() + Counter(peak=peak)), flush=True)


def _types() -> None:
    lib = _Native().lib
    block, size = lib._lib.ggml_blck_size, lib._lib.ggml_type_size
    block.restype, size.restype = ctypes.c_int64, ctypes.c_size_t
    numbers = range(lib.GGML_TYPE_COUNT)
    print(json.dumps([(n, block(n), size(n)) for n in numbers if size(n)]))


if __name__ == "__main__":
    if sys.argv[1] == "try":
        _try(sys.argv[2:])
    elif sys.argv[1] == "types":
        _types()
    else:
        _sizes(sys.argv[2], *json.loads(sys.argv[3]))
