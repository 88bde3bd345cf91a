"""ggml's threads, kept from one step to the next.

Without its own pool, a context creates new threads for every step. That costs little on
an idle machine; where another program has a core, a step on all threads takes twice as long, since
new threads may be put where the other program runs. Between steps they sleep: threads that wait
awake (`poll`) gained nothing, and take the core from whoever has it while fewer threads are in use.
"""

import ctypes
from typing import Any

from appliance.worker.runners.base import LoadError
from appliance.worker.runners.llama_cpp.native.bindings import lib, native

_MOST = 512
"""`GGML_MAX_N_THREADS`."""


class ThreadpoolParams(ctypes.Structure):
    """`ggml_threadpool_params`."""

    _fields_ = (
        ("cpumask", ctypes.c_bool * _MOST),
        ("n_threads", ctypes.c_int),
        ("prio", ctypes.c_int),
        ("poll", ctypes.c_uint32),
        ("strict_cpu", ctypes.c_bool),
        ("paused", ctypes.c_bool),
    )


def default_params(n_threads: int) -> ThreadpoolParams:
    """As ggml fills them in."""
    params = ThreadpoolParams()
    fill = native(
        "ggml_threadpool_params_init", None, ctypes.POINTER(ThreadpoolParams), ctypes.c_int
    )
    fill(ctypes.byref(params), n_threads)
    return params


class ThreadPool:
    """A pool for contexts that compute one after another. Close it after them."""

    def __init__(self, count: int) -> None:
        """`count`: the most threads that a step may have. After `library.start`.

        Raises:
            LoadError: the processor's backend has no pools.
        """
        self.count = count
        params = default_params(count)
        params.poll = 0
        # It is the processor's backend that has them, and which file that is was decided before.
        make = _of_processor("ggml_threadpool_new", ctypes.c_void_p)
        self._pool: int = make(ctypes.byref(params))

    def attach(self, context: lib.llama_context_p) -> None:
        """Have the context's steps computed by these threads; `llama_set_n_threads` says by how
        many of them."""
        attach = native(
            "llama_attach_threadpool", None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
        )
        attach(ctypes.cast(context, ctypes.c_void_p), self._pool, None)

    def close(self) -> None:
        _of_processor("ggml_threadpool_free", None)(self._pool)


def _of_processor(name: str, result: Any) -> Any:
    """A function of the processor's backend that takes a pointer."""
    pointer = ctypes.c_void_p
    by_type = native("ggml_backend_dev_by_type", pointer, ctypes.c_int)
    register = native("ggml_backend_dev_backend_reg", pointer, pointer)
    address = native("ggml_backend_reg_get_proc_address", pointer, pointer, ctypes.c_char_p)
    found = address(register(by_type(0)), name.encode())
    if not found:
        raise LoadError(f"llama.cpp's backend for processors has no {name}")
    return ctypes.CFUNCTYPE(result, pointer)(found)
