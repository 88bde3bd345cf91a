"""The available models: each configured model as a specification that the pool can load."""

import logging
from collections.abc import Callable
from pathlib import Path

from msgspec import structs

from appliance.config import paths
from appliance.config.context import ContextSettings
from appliance.config.environment import variable, worker_environment
from appliance.config.schema import EMBEDDED_MODEL, AvailableModel, Config
from appliance.engine.base import Engine, ModelSpec
from appliance.engine.device_routing import ExcludedDevices
from appliance.engine.local.engine import LocalEngine
from appliance.engine.local.prestart import PrestartedWorker
from appliance.engine.protocol import Load
from appliance.engine.upstream.engine import UpstreamEngine
from appliance.errors import ApplianceError, ModelLoadFailed, ModelNotDownloaded, ModelNotFound
from appliance.models.gguf import shards
from appliance.models.gguf.header import is_legacy_ggml
from appliance.models.gguf.metadata import GgufHeader
from appliance.models.gguf.shards import number, read_model
from appliance.models.memory.estimate import LEAST_CONTEXT, context_that_fits, estimate
from appliance.models.memory.fit import Machine, MemoryNeeds
from appliance.models.memory.usage import MemoryUse, expected
from appliance.service import model_files, variants
from appliance.system.memory import memory
from appliance.tuning import settings

log = logging.getLogger(__name__)

MEGABYTE = 1_000_000
PLENTY = 1 / 8
"""The fraction of free memory that a model may take only to be faster."""


def specs(config: Config, prestarted: PrestartedWorker | None = None) -> list[ModelSpec]:
    """The models that the configuration lists; the first is kept warm. The one that comes with the
    appliance stands in for it as long as its file is not here.

    `prestarted`: a worker, for the first of them that is loaded.
    """
    listed = config.models.listed()
    found = [
        spec(config, model, prewarm=model.prewarm or number == 0, prestarted=prestarted)
        for number, model in enumerate(listed)
    ]
    if EMBEDDED_MODEL.id not in [model.id for model in listed]:
        found.append(structs.replace(spec(config, EMBEDDED_MODEL), stands_in=True))
    return found


def report(config: Config) -> None:
    """Log, at the start, which of the models that the configuration lists are not loaded now."""
    later = []
    for model in config.models.listed()[1:]:
        try:
            if model.by_llama:
                _file(config, model)
        except ApplianceError as ex:
            log.warning("%s is not loaded: %s", model.id, ex)
        else:
            later += [model.id] if not model.prewarm and not model.upstream else []
    if later:
        log.info(
            "%s: loaded when first asked for; with prewarm = true in an entry, at the start",
            ", ".join(later),
        )


def first_load(config: Config) -> Load | None:
    """What the first model's worker will get, if that is known before anything else is
    computed: of a file that is here, that memory holds, and of whose kind one was proven to run."""
    model = config.models.listed()[0]
    if not model.by_llama:
        return None
    try:
        need = variants.need_of(config, read_model(_file(config, model)))
        if variants.known(need) is None or _need(config, model)() > memory().available:
            return None
        return _gguf_load(config, model)
    except ApplianceError:
        return None


def spec(
    config: Config,
    model: AvailableModel,
    *,
    prewarm: bool = False,
    aliases: tuple[str, ...] = (),
    prestarted: PrestartedWorker | None = None,
) -> ModelSpec:
    """A model as something that the pool can load."""
    excluded = ExcludedDevices()

    def on(model: AvailableModel) -> Engine:
        return _local_engine(config, model, excluded, prestarted)

    return ModelSpec(
        id=model.id,
        name=model.name or model.id,
        aliases=aliases,
        make=_upstream_engine(config, model) if model.upstream else lambda: on(model),
        on_device=(lambda device: on(structs.replace(model, device=device)))
        if model.by_llama
        else None,
        load=(lambda: _gguf_load(config, model)) if model.by_llama else None,
        excluded=excluded,
        need=_need(config, model),
        file=lambda: _whole_gguf(config, model),
        stamp=lambda: _stamp(config, model),
        is_same=_is_same,
        prewarm=prewarm,
        elsewhere=bool(model.upstream),
    )


def _whole_gguf(config: Config, model: AvailableModel) -> Path | None:
    if not model.by_llama:
        return None
    file = _file(config, model)
    return None if number(file.name) or is_legacy_ggml(file) else file


def _stamp(config: Config, model: AvailableModel) -> object:
    try:
        file = _file(config, model)
    except (ApplianceError, OSError):
        return None
    return str(file), _files_stamp(file)


def _files_stamp(file: Path) -> object:
    return shards.stamp([file.with_name(name) for name in shards.parts(file.name)])


def _is_same(stamp: object) -> bool:
    """Files that are gone, or cannot be looked at, count as unchanged: what was loaded stays."""
    if not isinstance(stamp, tuple) or stamp[1] is None:
        return True
    return _files_stamp(Path(stamp[0])) in (None, stamp[1])


def _together(config: Config) -> int:
    return config.models.max_concurrent_requests or config.engine.n_seq_max


def _context(config: Config, n_ctx: int) -> ContextSettings:
    """As configured; nothing else makes one, for a load or for the estimate of its memory."""
    engine = config.engine
    return ContextSettings(
        n_ctx=n_ctx,
        n_batch=engine.n_batch,
        n_ubatch=engine.n_ubatch,
        n_seq_max=engine.n_seq_max,
        kv_unified=engine.kv_unified != "off",
        flash_attn=engine.flash_attn,
        type_k=settings.kv_type(engine.type_k),
        type_v=settings.kv_type(engine.type_v),
    )


def _upstream_engine(config: Config, model: AvailableModel) -> Callable[[], Engine]:
    name = model.upstream_key_variable
    return lambda: UpstreamEngine(
        model.id,
        model.upstream,
        model=model.upstream_model or model.id,
        api_key=variable(name) if name else None,
        parallel=_together(config),
        max_waiting=config.engine.max_waiting,
    )


def _local_engine(
    config: Config,
    model: AvailableModel,
    excluded: ExcludedDevices,
    prestarted: PrestartedWorker | None,
) -> Engine:
    return LocalEngine(
        model.id,
        _legacy_load(config, model) if model.family else _gguf_load(config, model),
        command=paths.worker_command(),
        environment=worker_environment(),
        max_waiting=config.engine.max_waiting,
        distrust=lambda: settings.forget(_file(config, model)),
        suspect=lambda *died: _next_variant(config, model, *died),
        excluded=excluded,
        prestarted=prestarted,
    )


def variant(config: Config, file: Path) -> str:
    """The variant of llama.cpp that a file runs on here, see `variants.variant`.

    Raises:
        ModelLoadFailed: it is not one that llama.cpp could run.
    """
    return variants.variant(variants.need_of(config, read_model(file)))


def _next_variant(
    config: Config, model: AvailableModel, name: str, reason: str, charge: bool
) -> tuple[str, bool]:
    try:
        need = variants.need_of(config, read_model(_file(config, model)))
    except ApplianceError:  # the next load reports it
        return name, False
    return variants.suspect(need, name, reason, charge)


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
        chosen = variants.known(variants.need_of(config, read_model(file)))
        load = _load(config, model, chosen or "")
        if load.tuned is not None:
            try:
                header = read_model(Path(load.tuned.path))
                return estimate(header, load.on_processor()).cpu.total
            except ModelLoadFailed as ex:
                log.warning("the tuned form of %s is given up: %s", model.id, ex)
                settings.forget(file)
        return estimate(read_model(file), load).cpu.total

    return need


def memory_needs(config: Config, header: GgufHeader) -> MemoryNeeds:
    """What a model takes of memory, loaded as `config` says."""
    n_ctx = config.engine.n_ctx or header.context_length
    least = config.engine.n_ctx or min(n_ctx, LEAST_CONTEXT)
    whole = _context(config, n_ctx)
    here = whole if config.engine.n_ctx else _context(config, _context_here(config, header))
    apart = structs.replace(here, kv_unified=False)
    on_gpu = estimate(header, whole, header.block_count + 1)
    return MemoryNeeds(
        whole=estimate(header, whole).cpu.total,
        least=estimate(header, _context(config, least)).cpu.total,
        gpu=on_gpu.gpu.total,
        shared=estimate(header, here).cpu,
        apart=estimate(header, apart).cpu,
        beside_gpu=on_gpu.cpu,
        slots=here.n_seq_max,
    )


def expected_here(config: Config, file: Path) -> MemoryUse:
    """What a model would take of memory, loaded now, without a GPU.

    Raises:
        ModelLoadFailed: it is not one that llama.cpp could run.
    """
    nowhere = Machine(
        memory=lambda: 0, gpu=lambda: 0, cores=1, plenty=lambda more: plenty(config, more)
    )
    return expected(memory_needs(config, read_model(file)), nowhere)


def plenty(config: Config, more: int) -> bool:
    """Whether slots have separate cells on the processor, which take this many more bytes."""
    if config.engine.kv_unified != "auto":
        return config.engine.kv_unified == "off"
    return 0 < more <= memory().available * PLENTY


def _n_ctx(config: Config, model: AvailableModel, file: Path) -> int:
    """As configured; else what the model was trained with, or so much of it as leaves half of this
    machine's memory alone. It must not depend on what is free at the moment: saved states are of
    one context size."""
    engine = config.engine
    if model.context_length or engine.n_ctx:
        return model.context_length or engine.n_ctx
    return _context_here(config, read_model(file))


def _context_here(config: Config, header: GgufHeader) -> int:
    return context_that_fits(header, memory().total // 2, _context(config, 0))


def _file(config: Config, model: AvailableModel) -> Path:
    try:
        return model_files.model_file(config, model)
    except ModelNotFound as ex:
        raise ModelNotDownloaded(ex.message, param="model") from ex


def _load(config: Config, model: AvailableModel, variant: str) -> Load:
    engine = config.engine
    file = _file(config, model)
    return Load(
        path=str(file),
        template_command=tuple(paths.template_command()),
        **structs.asdict(_context(config, _n_ctx(config, model, file))),
        variant=variant,
        tuned=settings.tuned_settings(config, file, variant),
        max_running=min(_together(config), engine.n_seq_max),
        n_threads=engine.n_threads,
        device=(model.device or config.models.default_device).lower(),
        n_gpu_layers=engine.n_gpu_layers,
        fidelity_folder=str(paths.fidelity_dir()),
        kv_folder=str(paths.kv_dir()) if engine.kv_disk_mb else "",
        kv_memory_bytes=engine.kv_memory_mb * MEGABYTE,
        kv_disk_bytes=engine.kv_disk_mb * MEGABYTE,
        kv_min_tokens=engine.kv_min_tokens,
    )


def _gguf_load(config: Config, model: AvailableModel) -> Load:
    """On a variant of llama.cpp that computes right here, with what tuning found for the processor,
    and with what the file says of its layers, for the worker to compare with a GPU's memory."""
    load = _load(config, model, variant(config, _file(config, model)))
    header = read_model(Path(load.path))
    apart = structs.replace(load, kv_unified=False)
    auto = config.engine.kv_unified == "auto"
    more = (
        estimate(header, apart.on_processor()).cpu.total
        - estimate(header, load.on_processor()).cpu.total
    )
    load = structs.replace(load, cpu_apart=auto and plenty(config, more))
    if load.device == "cpu":
        return load
    every = range(header.block_count + 2)
    return structs.replace(
        load,
        gpu_bytes=tuple(estimate(header, load, layers).gpu.total for layers in every),
        gpu_bytes_apart=estimate(header, apart, every[-1]).gpu.total if auto else 0,
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
