"""llama.cpp's library itself: loaded once a process, its backends, devices and log."""

import ctypes
import functools
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from appliance.engine import libraries
from appliance.engine.runners import llama_interface
from appliance.engine.runners.base import LoadError
from appliance.engine.runners.llama_binding import lib, native

log = logging.getLogger(__name__)

_WARNING, _ERROR = 3, 4
"""GGML_LOG_LEVEL_WARN, GGML_LOG_LEVEL_ERROR."""
_KINDS = {0: "cpu", 1: "gpu", 2: "igpu", 3: "accelerator"}
"""`enum ggml_backend_dev_type`."""
_LOADED = "load_backend: loaded "


class Device(msgspec.Struct, frozen=True):
    """Something that can compute."""

    name: str
    """llama.cpp's, such as `CUDA0`."""
    description: str
    kind: str
    """`cpu`, `gpu`, `igpu` or `accelerator`."""
    family: str
    """`cpu`, `cuda`, `metal`, `vulkan` …"""
    free: int
    """Bytes."""
    total: int


class Library(msgspec.Struct, frozen=True):
    """What was loaded."""

    version: str
    features: str
    """What llama.cpp says of the processor."""
    backends: list[str]
    """Files of backends that were chosen; none in a build that has all in one."""
    devices: list[Device]


class _Thread(threading.local):
    reads_request = False


_thread = _Thread()
_errors: list[str] = []
_backends: list[str] = []


def _log(level: int, text: bytes, _: object) -> None:
    line = text.decode("utf-8", "replace").strip()
    if line.startswith(_LOADED):
        _backends.append(Path(line.rpartition(" ")[2]).name)
    if level in (_WARNING, _ERROR) and line:
        ours = level == _ERROR and not _thread.reads_request
        log.log(logging.ERROR if ours else logging.WARNING, "%s", line)
        if ours:
            _errors[:] = [*_errors[-4:], line]


_log_callback = lib.llama_log_callback(_log)
"""Kept here: native code calls it for as long as the process lives."""


@contextmanager
def reading_request() -> Iterator[None]:
    """What llama.cpp complains of on this thread meanwhile is the fault of a request."""
    _thread.reads_request = True
    try:
        yield
    finally:
        _thread.reads_request = False


def forget_errors() -> None:
    """What comes now begins anew."""
    _errors.clear()


def last_errors() -> str:
    """llama.cpp's last words, to go behind a sentence of ours."""
    return ": " + "; ".join(_errors) if _errors else ""


@functools.cache
def start(variant: str = "") -> None:
    """Load the backends, once a process.

    Args:
        variant: of the one for processors; empty: the one that llama.cpp thinks most of.

    Raises:
        LoadError: there is no such variant, or llama.cpp is not the one that the appliance was
            made for.
    """
    llama_interface.check()
    lib.llama_log_set(_log_callback, None)
    if variant:
        load = native("ggml_backend_load", ctypes.c_void_p, ctypes.c_char_p)
        for file in libraries.backends().values():
            load(str(file).encode())  # what finds no driver says so and is not there
        chosen = libraries.variants().get(variant)
        if chosen is None or not load(str(chosen).encode()):
            raise LoadError(f"llama.cpp's variant {variant} cannot be loaded{last_errors()}")
    else:
        load_all = native("ggml_backend_load_all_from_path", None, ctypes.c_char_p)
        load_all(str(libraries.folder()).encode())
    lib.llama_backend_init()


def devices() -> list[Device]:
    """What can compute here, as llama.cpp sees it; after `start`."""
    count = native("ggml_backend_dev_count", ctypes.c_size_t)
    get = native("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    return [_device(get(index)) for index in range(count())]


def describe() -> Library:
    """Everything about the library; after `start`."""
    return Library(
        version=lib.llama_version().decode(),
        features=lib.llama_print_system_info().decode(),
        backends=list(_backends),
        devices=devices(),
    )


def _device(handle: int) -> Device:
    pointer = ctypes.c_void_p
    name = native("ggml_backend_dev_name", ctypes.c_char_p, pointer)(handle)
    description = native("ggml_backend_dev_description", ctypes.c_char_p, pointer)(handle)
    kind = native("ggml_backend_dev_type", ctypes.c_int, pointer)(handle)
    register = native("ggml_backend_dev_backend_reg", pointer, pointer)(handle)
    family = native("ggml_backend_reg_name", ctypes.c_char_p, pointer)(register)
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    size = ctypes.POINTER(ctypes.c_size_t)
    native("ggml_backend_dev_memory", None, pointer, size, size)(
        handle, ctypes.byref(free), ctypes.byref(total)
    )
    return Device(
        name.decode(),
        description.decode(),
        _KINDS.get(kind, "accelerator"),
        {"mtl": "metal"}.get(family.decode().lower(), family.decode().lower()),
        free.value,
        total.value,
    )
