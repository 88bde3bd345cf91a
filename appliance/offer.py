"""The models on offer: each configured model as something the pool can load."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from appliance import paths, proven, tuned, whereabouts
from appliance.config import AvailableModel, Config
from appliance.engine.client import Engine
from appliance.engine.loaded import Loaded, ModelSpec
from appliance.engine.protocol import Load
from appliance.engine.upstream.engine import UpstreamEngine
from appliance.environment import variable, worker_environment
from appliance.errors import ApplianceError, ModelLoadFailed, ModelNotDownloaded, ModelNotFound
from appliance.models.facts import Weight
from appliance.models.fit import LEAST_CONTEXT, Estimate, context_that_fits, estimate
from appliance.models.gguf import is_legacy_ggml
from appliance.models.header import GgufHeader
from appliance.models.memory import memory
from appliance.models.split import number, read_model

log = logging.getLogger(__name__)

MEGABYTE = 1_000_000
PLENTY = 1 / 8
"""Of the free memory, the part that a model may take for the sake of speed alone."""


def specs(config: Config) -> list[ModelSpec]:
    """The models that the configuration lists; the first is kept warm."""
    return [
        spec(config, model, prewarm=model.prewarm or number == 0)
        for number, model in enumerate(config.models.listed())
    ]


def first_load(config: Config) -> Load | None:
    """What the worker of the first model will be told, if it can be said before anything else is
    known: of a file that is here, that memory holds, and of whose kind one was proven to run."""
    model = config.models.listed()[0]
    if not model.by_llama:
        return None
    try:
        need = proven.need_of(config, read_model(_file(config, model)))
        if proven.known(need) is None or _need(config, model)() > memory().available:
            return None
        return _gguf_load(config, model)
    except ApplianceError:
        return None


def spec(
    config: Config, model: AvailableModel, *, prewarm: bool = False, aliases: tuple[str, ...] = ()
) -> ModelSpec:
    """A model as something that the pool can load."""
    return ModelSpec(
        id=model.id,
        name=model.name or model.id,
        aliases=aliases,
        make=_elsewhere(config, model) if model.upstream else lambda: _here(config, model),
        on_device=(lambda device: _here(config, msgspec.structs.replace(model, device=device)))
        if model.by_llama
        else None,
        need=_need(config, model),
        file=lambda: _whole_gguf(config, model),
        prewarm=prewarm,
    )


def _whole_gguf(config: Config, model: AvailableModel) -> Path | None:
    if not model.by_llama:
        return None
    file = _file(config, model)
    return None if number(file.name) or is_legacy_ggml(file) else file


def _together(config: Config) -> int:
    return config.models.max_concurrent_requests or config.engine.n_seq_max


def _batching(config: Config) -> dict[str, Any]:
    """What a load and the estimate of its memory have in common."""
    engine = config.engine
    return {
        "n_batch": engine.n_batch,
        "n_ubatch": engine.n_ubatch,
        "n_seq_max": engine.n_seq_max,
        "kv_unified": engine.kv_unified != "off",
    }


def _elsewhere(config: Config, model: AvailableModel) -> Callable[[], Loaded]:
    name = model.upstream_key_variable
    return lambda: UpstreamEngine(
        model.id,
        model.upstream,
        model=model.upstream_model or model.id,
        api_key=variable(name) if name else None,
        parallel=_together(config),
        max_waiting=config.engine.max_waiting,
    )


def _here(config: Config, model: AvailableModel) -> Loaded:
    return Engine(
        model.id,
        _legacy_load(config, model) if model.family else _gguf_load(config, model),
        command=paths.worker_command(),
        environment=worker_environment(),
        max_waiting=config.engine.max_waiting,
        distrust=lambda: tuned.forget(_file(config, model)),
        suspect=lambda variant, reason: _next_variant(config, model, variant, reason),
    )


def variant(config: Config, file: Path) -> str:
    """The variant of llama.cpp that a file runs on here, see `proven.variant`.

    Raises:
        ModelLoadFailed: it is not one that llama.cpp could run.
    """
    return proven.variant(proven.need_of(config, read_model(file)))


def _next_variant(config: Config, model: AvailableModel, name: str, reason: str) -> str:
    try:
        need = proven.need_of(config, read_model(_file(config, model)))
    except ApplianceError:  # whoever loads it next will say so
        return name
    return proven.suspect(need, name, reason)


def _need(config: Config, model: AvailableModel) -> Callable[[], int]:
    def need() -> int:
        if model.upstream:
            return 0
        file = _file(config, model)
        if is_legacy_ggml(file):
            if not model.family:
                raise ModelLoadFailed(
                    f"{file.name} is in the old GGML format: its entry must name its family"
                )
            return file.stat().st_size * 5 // 4
        load = _load(config, model)
        header = read_model(file)
        chosen = proven.known(proven.need_of(config, header))
        form = None if chosen is None else tuned.form(config, file, chosen)
        size = _estimate(header, load).cpu.total
        if form is None:
            return size
        try:
            return max(size, _estimate(read_model(Path(form.path)), load).cpu.total)
        except ModelLoadFailed as ex:
            log.warning("the tuned form of %s is given up: %s", model.id, ex)
            tuned.forget(file)
            return size

    return need


def weigh(config: Config, header: GgufHeader) -> Weight:
    """What a model takes of memory, loaded as `config` says."""
    engine = config.engine

    def at(n_ctx: int, n_gpu_layers: int = 0) -> Estimate:
        return estimate(
            header,
            n_ctx=n_ctx,
            n_outputs_max=engine.n_seq_max,
            **_batching(config),
            n_gpu_layers=n_gpu_layers,
        )

    n_ctx = engine.n_ctx or header.context_length
    return Weight(
        memory=at(n_ctx).cpu.total,
        least=at(engine.n_ctx or min(n_ctx, LEAST_CONTEXT)).cpu.total,
        gpu=at(n_ctx, header.block_count + 1).gpu.total,
    )


def _n_ctx(config: Config, model: AvailableModel, file: Path) -> int:
    """As configured; else what the model was trained with, or so much of it as leaves half of this
    machine's memory alone. It must not depend on what is free at the moment: saved states are of
    one context size."""
    engine = config.engine
    if model.context_length or engine.n_ctx:
        return model.context_length or engine.n_ctx
    return context_that_fits(
        read_model(file),
        memory().total // 2,
        n_outputs_max=engine.n_seq_max,
        **_batching(config),
    )


def _estimate(header: GgufHeader, load: Load, n_gpu_layers: int = 0) -> Estimate:
    return estimate(
        header,
        n_ctx=load.n_ctx or header.context_length,
        n_seq_max=load.n_seq_max,
        kv_unified=load.kv_unified,
        n_batch=load.n_batch,
        n_ubatch=load.n_ubatch,
        n_outputs_max=load.n_seq_max,
        n_gpu_layers=n_gpu_layers,
    )


def _file(config: Config, model: AvailableModel) -> Path:
    try:
        return whereabouts.model_file(config, model)
    except ModelNotFound as ex:
        raise ModelNotDownloaded(ex.message, param="model") from ex


def _load(config: Config, model: AvailableModel) -> Load:
    engine = config.engine
    file = _file(config, model)
    return Load(
        path=str(file),
        template_command=tuple(paths.template_command()),
        n_ctx=_n_ctx(config, model, file),
        **_batching(config),
        max_running=min(_together(config), engine.n_seq_max),
        n_threads=engine.n_threads,
        flash_attn=engine.flash_attn,
        type_k=tuned.kv_type(engine.type_k),
        type_v=tuned.kv_type(engine.type_v),
        device=(model.device or config.models.default_device).lower(),
        n_gpu_layers=engine.n_gpu_layers,
        kv_folder=str(paths.kv_dir()) if engine.kv_disk_mb else "",
        kv_memory_bytes=engine.kv_memory_mb * MEGABYTE,
        kv_disk_bytes=engine.kv_disk_mb * MEGABYTE,
        kv_min_tokens=engine.kv_min_tokens,
    )


def _gguf_load(config: Config, model: AvailableModel) -> Load:
    """On a variant of llama.cpp that computes right here, with what tuning found for the processor,
    and with what the file says of its layers, for the worker to compare with a GPU's memory."""
    load = _load(config, model)
    header = read_model(Path(load.path))
    apart = msgspec.structs.replace(load, kv_unified=False)
    auto = config.engine.kv_unified == "auto"
    more = _estimate(header, apart).cpu.total - _estimate(header, load).cpu.total
    chosen = variant(config, Path(load.path))
    load = msgspec.structs.replace(
        load,
        variant=chosen,
        tuned=tuned.form(config, Path(load.path), chosen),
        cpu_apart=auto and 0 < more <= memory().available * PLENTY,
    )
    if load.device == "cpu":
        return load
    every = range(header.block_count + 2)
    return msgspec.structs.replace(
        load,
        gpu_bytes=tuple(_estimate(header, load, layers).gpu.total for layers in every),
        gpu_bytes_apart=_estimate(header, apart, every[-1]).gpu.total if auto else 0,
    )


def _legacy_load(config: Config, model: AvailableModel) -> Load:
    """One sequence at a time, in short steps, and no states to save: the library can't."""
    return Load(
        path=str(_file(config, model)),
        template_command=tuple(paths.template_command()),
        family=model.family,
        n_ctx=model.context_length,
        n_batch=16,
        n_ubatch=16,
        n_seq_max=1,
        kv_unified=True,
        n_threads=config.engine.n_threads,
    )
