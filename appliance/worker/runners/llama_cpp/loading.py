"""A model file becomes a model and a context: where, how, and what to do when that fails."""

import ctypes
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec import structs

from appliance.config.context import ContextSettings
from appliance.engine.protocol import Load
from appliance.system.cpu import physical_cores
from appliance.worker.runners.base import LoadError
from appliance.worker.runners.llama_cpp.native import library, mapped_file
from appliance.worker.runners.llama_cpp.native.bindings import lib
from appliance.worker.runners.llama_cpp.native.library import last_errors
from appliance.worker.runners.llama_cpp.verified_devices import judge
from appliance.worker.runners.placement import Placement, choose

log = logging.getLogger(__name__)

KV_TYPES = {"f16": lib.GGML_TYPE_F16, "q8_0": lib.GGML_TYPE_Q8_0, "q4_0": lib.GGML_TYPE_Q4_0}
FLASH_ATTENTION = {
    "auto": lib.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": lib.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": lib.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}


@dataclass(slots=True)
class LoadedModel:
    """What was loaded, and how."""

    path: Path
    model: int
    context: lib.llama_context_p
    params: lib.llama_context_params
    place: Placement
    tuned: Literal["", "used", "refused"]
    settings: ContextSettings


Progress = Callable[[float, tuple[str, ...]], None]
"""Gets how much of a model is loaded, 0 … 1, and on which GPUs."""


def open_model(load: Load, progress: Progress) -> LoadedModel:
    """Load as `load` says; in the tuned form if there is one and the processor runs all of it.

    Raises:
        LoadError: with llama.cpp's last error messages.
    """
    place = choose(load, library.devices(), lambda devices: judge(load, devices))
    if load.tuned is None or place.n_gpu_layers:
        return _open(load, place, progress, "")
    try:
        return _open(load.on_processor(), place, progress, "used")
    except LoadError as ex:
        log.warning("the tuned form is given up: %s", ex)
        library.forget_errors()
    return _open(load, place, progress, "refused")


def _open(
    load: Load,
    place: Placement,
    progress: Progress,
    tuned: Literal["", "used", "refused"],
) -> LoadedModel:
    """With less on the GPU when an allocation fails there."""
    path = Path(load.path)
    if not path.is_file():
        raise LoadError(f"there is no model file {path}")
    while True:
        try:
            progress(0.0, place.on)
            model = load_model(path, place, progress)
            if place.n_gpu_layers or library.repacked():
                mapped_file.let_go(path)  # there is another copy of weights
            unified = load.kv_unified and not place.apart
            settings = structs.replace(load.settings(), kv_unified=unified)
            params = context_params(structs.replace(load, kv_unified=unified), model)
            context = lib.llama_init_from_model(model, params)
            if context:
                return LoadedModel(path, model, context, params, place, tuned, settings)
            lib.llama_model_free(model)
            raise LoadError(
                f"llama.cpp could not make a context of {params.n_ctx} tokens{last_errors()}"
            )
        except LoadError as ex:
            if not place.shrink():
                raise
            log.warning("%s; trying with %s", ex, place)


def context_params(load: Load, model: int) -> lib.llama_context_params:
    """The context that `load` describes."""
    n_ctx = load.n_ctx or lib.llama_model_n_ctx_train(model)
    params: lib.llama_context_params = lib.llama_context_default_params()
    params.n_ctx = n_ctx if load.kv_unified else n_ctx * load.n_seq_max
    params.n_batch = load.n_batch
    params.n_ubatch = min(load.n_ubatch, load.n_batch)
    params.n_seq_max = load.n_seq_max
    # Each sequence samples once a step; room for the logits of a whole batch would be wasted.
    params.n_outputs_max = load.n_seq_max
    params.kv_unified = load.kv_unified
    params.n_threads = load.n_threads or physical_cores()
    params.n_threads_batch = load.n_threads_batch or params.n_threads
    params.flash_attn_type = FLASH_ATTENTION[load.flash_attn]
    params.type_k, params.type_v = KV_TYPES[load.type_k], KV_TYPES[load.type_v]
    params.swa_full = load.swa_full
    params.no_perf = True
    return params


def load_model(
    path: Path, place: Placement, progress: Progress = lambda _, __: None, *, plain: bool = False
) -> int:
    """llama.cpp's handle of the model.

    Args:
        plain: weights are used as the file has them, and not in other layouts beside.

    Raises:
        LoadError: with llama.cpp's last error messages.
    """
    params = lib.llama_model_default_params()
    params.n_gpu_layers = place.n_gpu_layers
    # If no devices are named, large batches go to a GPU even where it holds no layer.
    devices = library.handles(place.on)
    params.devices = ctypes.addressof(devices)
    params.use_extra_bufts = not plain

    def report(fraction: float, _: object) -> bool:
        progress(fraction, place.on)
        return True

    callback = lib.llama_progress_callback(report)
    params.progress_callback = callback
    model = lib.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise LoadError(f"llama.cpp could not load {path.name}{last_errors()}")
    return int(model)
