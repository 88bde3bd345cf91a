"""The model files of this installation, as available models."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from appliance.config import environment, paths
from appliance.config.schema import EMBEDDED_MODEL, AvailableModel, Config
from appliance.engine.base import ModelSpec
from appliance.engine.serving.model_names import Aliases
from appliance.engine.serving.pool import Pool
from appliance.errors import ApplianceError, ModelNotFound, RequestError
from appliance.models.catalog import catalog
from appliance.models.hub.client import Hub
from appliance.models.hub.downloads import Downloads
from appliance.models.library import ModelLibrary
from appliance.models.local.index import ConfiguredFile, ModelFile, ModelIndex
from appliance.models.local.metadata_cache import MetadataCache
from appliance.models.local.ollama import ModelDefaults
from appliance.models.local.ollama_options import read_options
from appliance.models.local.summary import LocalModel, RuntimeState, summarize
from appliance.models.memory.fit import Machine
from appliance.service import build_info, model_files, model_specs
from appliance.system.cpu import processor
from appliance.system.memory import memory

log = logging.getLogger(__name__)

FILE = "shelf.json"
SHARE = 0.85
"""The fraction of memory that a model may take: the rest is for other programs."""
PROBE_AGAIN_SECONDS = 600.0
"""After which GPUs are looked for again, if that failed."""


def library(config: Config) -> ModelLibrary:
    """What is on this machine, as this configuration would load it, and what can be had; nothing
    is looked at yet.

    Raises:
        ConfigError: a folder cannot be made.
    """
    key = f"{msgspec.json.encode(config.engine).decode()} {memory().total}"
    index = ModelIndex(
        model_files.places(config),
        lambda: given(config),
        memory_needs=lambda header: model_specs.memory_needs(config, header),
        cache=MetadataCache(paths.cache_dir() / FILE, key),
    )
    hub = Hub(environment.hub())
    downloads = Downloads(paths.models_dir(config), hub)
    downloads.on_done = lambda: index.refresh(at_once=True)
    return ModelLibrary(
        index=index,
        machine=machine(config),
        hub=hub,
        downloads=downloads,
        install_hints=install_hints(config),
        hub_names=hub_names(config),
    )


def given(config: Config) -> Iterable[ConfiguredFile]:
    """The configured models, and the one that came with the appliance if it isn't among them."""
    own = paths.models_dir(config)
    seen = set()
    for model in config.models.listed():
        path = None
        if not model.upstream:
            try:
                path = model_files.model_file(config, model)
            except ModelNotFound:
                path = None
        seen.add(path)
        bundled = path is not None and not model.path and not model_files.hub_name(model)
        ours = path is not None and path.is_relative_to(own)
        owner = "bundled" if bundled else "appliance" if ours else "folder"
        yield ConfiguredFile(model.id, model.name or model.id, path, owner)  # type: ignore[arg-type]
    try:
        embedded = paths.embedded_model()
    except ModelNotFound:
        return
    if embedded not in seen:
        yield ConfiguredFile(EMBEDDED_MODEL.id, EMBEDDED_MODEL.name, embedded, "bundled")


def hub_names(config: Config) -> dict[str, str]:
    """What configured models are called on the hub, `NAME` or `NAME:QUANTIZATION`, by their ids."""
    return {
        model.id: f"{name}:{model.quantization}" if model.quantization else name
        for model in config.models.listed()
        if (name := model_files.hub_name(model))
    }


def install_hints(config: Config) -> dict[str, str]:
    """What gets a configured model that is not here, by the model's id."""
    found = {}
    for model in config.models.listed():
        if model.path and not model.upstream:
            file = paths.models_dir(config) / Path(model.path).expanduser()
            found[model.id] = f"put its file at {file}"
        elif hint := model_files.install_hint(model):
            found[model.id] = hint
    return found


def unserved(library: ModelLibrary, config: Config) -> list[LocalModel]:
    """What a service would offer, found out without one: nothing is loaded."""
    entries = {entry.id: entry for entry in library.index.refresh()}
    named = [(model.id, model.name or model.id) for model in config.models.listed()]
    named += [(id, entry.name) for id, entry in entries.items() if id not in dict(named)]
    return [
        summarize(
            id,
            name,
            entries.get(id),
            machine=library.machine,
            install_hint=library.install_hints.get(id),
            loaded=RuntimeState(),
            default=number == 0,
        )
        for number, (id, name) in enumerate(named)
    ]


def name_models(pool: Pool, config: Config) -> None:
    """Models go by their aliases from now on; the log has those that stand for nothing."""
    pool.aliases = Aliases(config.models.alias_targets())
    for alias, target in config.models.aliases.items():
        try:
            pool.find(pool.aliases.targets[alias])
        except ModelNotFound:
            log.warning("models.aliases: %s stands for %s, which is no model here", alias, target)


def serve_found_models(library: ModelLibrary, pool: Pool, config: Config) -> None:
    """From now on the pool offers what is in the index, and no longer what has gone from it.
    Configured models are offered in any case."""
    configured = {model.id for model in config.models.listed()}

    def change(new: Sequence[ModelFile], gone: Sequence[ModelFile]) -> None:
        pool.remove(entry.id for entry in gone if entry.id not in configured)
        for entry in new:
            if entry.id in configured or not entry.loads:
                continue
            model = AvailableModel(
                id=entry.id,
                name=entry.name,
                path=str(entry.path),
                context_length=config.engine.n_ctx or entry.defaults.context_length,
            )
            try:
                spec = model_specs.spec(config, model, aliases=catalog.aliases(entry.repo))
                pool.add([_with_defaults(spec, entry.defaults)])
            except ApplianceError as ex:
                log.warning("%s is not on offer: %s", entry.id, ex)
        pool.clear_failure(entry.id for entry in new if entry.id in configured)

    def missing(name: str) -> str | None:
        library.index.refresh(at_once=True)
        return library.index.why_not_offered(name)

    library.index.on_change = change
    pool.on_missing = missing


def _with_defaults(spec: ModelSpec, defaults: ModelDefaults) -> ModelSpec:
    """A model as it is used where a request says nothing."""
    try:
        read = read_options(defaults.parameters)
    except RequestError as ex:
        log.warning("the parameters of %s are not used: %s", spec.id, ex)
        return msgspec.structs.replace(spec, system=defaults.system)
    sampling = read.given | ({"max_tokens": read.most} if read.most else {})
    return msgspec.structs.replace(spec, sampling=sampling, system=defaults.system)


def machine(config: Config) -> Machine:
    """What models may take here. Whether there is a GPU is found out when it is first needed,
    since that starts a process; a failure holds for a while."""
    found: int | None = 0 if config.models.default_device == "cpu" else None
    probed_at = float("-inf")
    probing = threading.Lock()

    def gpu() -> int:
        nonlocal found, probed_at
        with probing:
            if found is None and time.monotonic() - probed_at > PROBE_AGAIN_SECONDS:
                found, probed_at = _gpu_memory(), time.monotonic()
            return found or 0

    return Machine(
        memory=lambda: int(memory().total * SHARE),
        gpu=gpu,
        cores=processor().threads,
        plenty=lambda more: model_specs.plenty(config, more),
    )


def _gpu_memory() -> int | None:
    """Memory of the backend with the most: others may list the same GPUs. None: unknown."""
    probed = build_info.probe()
    if "error" in probed or "gpus" in probed.get("unusable", {}):
        return None
    totals: Counter[str] = Counter()
    for device in probed["devices"]:
        if device["kind"] == "gpu":
            totals[device["family"]] += device["total"]
    return int(max(totals.values(), default=0) * SHARE)
