"""llama.cpp's library itself: loaded once a process, its backends, devices and log."""

import ctypes
import functools
import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from appliance.engine.protocol import Device
from appliance.system import llama_libraries
from appliance.worker.runners.base import LoadError
from appliance.worker.runners.llama_cpp.native import interface
from appliance.worker.runners.llama_cpp.native.bindings import lib, native, searched
from appliance.worker.runners.llama_cpp.native.drivers import driver_of

log = logging.getLogger(__name__)

_WARNING, _ERROR = 3, 4
"""GGML_LOG_LEVEL_WARN, GGML_LOG_LEVEL_ERROR."""
_KINDS: dict[int, Literal["cpu", "gpu", "igpu"]] = {0: "cpu", 1: "gpu", 2: "igpu"}
"""`enum ggml_backend_dev_type`; others are for single operations."""
_FAMILIES = {"mtl": "metal"}
"""Names of backends that are not those of their families."""
_REPACKED = "_REPACK model buffer size"
_LOADED = "load_backend: loaded "


class LlamaLibrary(msgspec.Struct, frozen=True):
    """What was loaded."""

    version: str
    features: str
    """The processor's features, as llama.cpp reports them."""
    backends: list[str]
    """Files of backends that were chosen; none in a build that has all in one."""
    devices: list[Device]
    unusable: dict[str, str] = {}
    """Backends that are here and could not be loaded, such as `vulkan`, and why."""


class _Thread(threading.local):
    errors_are = logging.ERROR


_thread = _Thread()
_errors: list[str] = []
_backends: list[str] = []
_repacked: list[str] = []


def _log(level: int, text: bytes, _: object) -> None:
    line = text.decode("utf-8", "replace").strip()
    if line.startswith(_LOADED):
        _backends.append(Path(line.rpartition(" ")[2]).name)
    if _REPACKED in line:
        _repacked.append(line)
    if level in (_WARNING, _ERROR) and line:
        ours = level == _ERROR and _thread.errors_are == logging.ERROR
        log.log(_thread.errors_are if level == _ERROR else logging.WARNING, "%s", line)
        if ours:
            _errors[:] = [*_errors[-4:], line]


_log_callback = lib.llama_log_callback(_log)
"""Kept here: native code calls it for as long as the process lives."""


@contextmanager
def _complaints_as(level: int) -> Iterator[None]:
    _thread.errors_are = level
    try:
        yield
    finally:
        _thread.errors_are = logging.ERROR


def repacked() -> bool:
    """Weights of a model that was loaded were copied into a layout for the processor."""
    return bool(_repacked)


def forget_errors() -> None:
    """Drop the error messages so far."""
    _errors.clear()


def last_errors() -> str:
    """llama.cpp's last error messages, to append to one of ours."""
    return ": " + "; ".join(_errors) if _errors else ""


@functools.cache
def start(variant: str = "", *, gpus: bool = True) -> None:
    """Load the backends, once a process.

    Args:
        variant: of the one for processors; empty: the one that llama.cpp thinks most of.
        gpus: with those for GPUs; they come along in any case where there is no variant.

    Raises:
        LoadError: there is no such variant, or llama.cpp is not the one that the appliance was
            made for.
    """
    interface.check()
    lib.llama_log_set(_log_callback, None)
    with searched():
        _load_backends(variant, gpus)
    lib.llama_backend_init()


class _Props(ctypes.Structure):
    """`ggml_backend_dev_props`."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("caps", ctypes.c_bool * 64),
    )


def _load_backends(variant: str, gpus: bool) -> None:
    if variant:
        load = native("ggml_backend_load", ctypes.c_void_p, ctypes.c_char_p)
        with _complaints_as(logging.DEBUG):  # of what finds no driver, and then is not there
            for file in llama_libraries.backends().values() if gpus else ():
                load(str(file).encode())
        chosen = llama_libraries.variants().get(variant)
        if chosen is None or not load(str(chosen).encode()):
            raise LoadError(f"llama.cpp's variant {variant} cannot be loaded{last_errors()}")
    else:
        load_all = native("ggml_backend_load_all_from_path", None, ctypes.c_char_p)
        for folder in (*llama_libraries.addons(), llama_libraries.folder()):
            load_all(str(folder).encode())


def devices() -> list[Device]:
    """What can compute here, as llama.cpp sees it; after `start`."""
    count = native("ggml_backend_dev_count", ctypes.c_size_t)
    get = native("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    return [_device(get(index)) for index in range(count())]


def handles(names: Iterable[str]) -> "ctypes.Array[ctypes.c_void_p]":
    """Devices as `llama_model_params` wants them; none: nothing but the processor is used, not even
    for large batches."""
    by_name = native("ggml_backend_dev_by_name", ctypes.c_void_p, ctypes.c_char_p)
    found = [by_name(name.encode()) for name in names]
    return (ctypes.c_void_p * (len(found) + 1))(*found)


def describe() -> LlamaLibrary:
    """Everything about the library; after `start`."""
    return LlamaLibrary(
        version=lib.llama_version().decode(),
        features=lib.llama_print_system_info().decode(),
        backends=list(_backends),
        devices=devices(),
        unusable=_unusable(),
    )


def _unusable() -> dict[str, str]:
    """llama.cpp skips a backend that does not load silently."""
    found = {}
    for name, file in llama_libraries.backends().items():
        if file.name not in _backends:
            try:
                ctypes.CDLL(str(file))
            except OSError as ex:
                found[name] = str(ex)
            else:
                found[name] = "it does not work with the driver that is here"
    return found


def _device(handle: int) -> Device:
    pointer = ctypes.c_void_p
    props = _Props()
    native("ggml_backend_dev_get_props", None, pointer, ctypes.POINTER(_Props))(
        handle, ctypes.byref(props)
    )
    register = native("ggml_backend_dev_backend_reg", pointer, pointer)(handle)
    name = native("ggml_backend_reg_name", ctypes.c_char_p, pointer)(register).decode().lower()
    family = _FAMILIES.get(name, name)
    description = (props.description or b"").decode("utf-8", "replace")
    driver = driver_of(family, description)
    return Device(
        name=props.name.decode(),
        description=description,
        kind=_KINDS.get(props.type, "accelerator"),
        family=family,
        free=props.memory_free,
        total=props.memory_total,
        id=(props.device_id or b"").decode(),
        driver=driver.name,
        build=driver.build,
    )
