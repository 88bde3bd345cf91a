"""`appliance doctor`: what this machine has and how the appliance uses it."""

import os
import platform
from typing import Any

import msgspec

from appliance.config import paths
from appliance.config.schema import Config
from appliance.diagnostics import checks, gpus
from appliance.engine.base import ModelSpec
from appliance.engine.serving.model_names import comparable
from appliance.errors import ApplianceError
from appliance.models.gguf.purpose import only_embeds
from appliance.models.gguf.shards import read_model
from appliance.models.local.abilities import takes_tools, why_not_for_agents
from appliance.models.memory.usage import MemoryUse
from appliance.service import build_info, model_library, model_specs, variants
from appliance.system.cpu import processor
from appliance.system.memory import memory
from appliance.system.units import format_bytes
from appliance.tuning import settings


def examine(config: Config) -> dict[str, Any]:
    """All findings, ready for JSON; what could not be found out has an `error`."""
    sizes = memory()
    library = build_info.probe()
    around = checks.run_checks(config)
    taken = around.pop("taken")
    return {
        **build_info.versions(library),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "memory": {
            "total": sizes.total,
            "available": sizes.available,
            "limited_by": sizes.limited_by,
        },
        "llama.cpp": library,
        "compared": gpus.compared(library),
        "folders": {
            "data": str(paths.data_dir(config)),
            "models": str(paths.models_dir(config)),
            "cache": str(paths.cache_dir()),
        },
        "models": [_model(config, spec, taken) for spec in model_specs.specs(config)],
        "dangling_aliases": _dangling_aliases(config),
        "refused_variants": variants.refused(),
        **around,
    }


def _dangling_aliases(config: Config) -> dict[str, str]:
    """Names of the configuration that stand for no model, and what they should stand for."""
    if not config.models.aliases:
        return {}
    stock = model_library.library(config).index
    stock.refresh(at_once=True)
    known = {
        *(comparable(name) for spec in model_specs.specs(config) for name in (spec.id, spec.name)),
        *(comparable(name) for entry in stock.entries() for name in (entry.id, entry.name)),
    }
    targets = config.models.alias_targets()
    return {
        alias: config.models.aliases[alias]
        for alias, target in targets.items()
        if comparable(target) not in known
    }


def _processor() -> dict[str, Any]:
    """What the appliance may use of it, and how busy the whole of it is."""
    here, whole = processor(), os.cpu_count() or 1
    found: dict[str, Any] = {"threads": here.threads, "of": whole, "load": _load()}
    if here.quota:
        found["quota"] = {
            "processors": round(here.quota.amount, 2),
            "limited_by": str(here.quota.source),
        }
    return found


def _load() -> float | None:
    """How many threads wanted to run in the last minute; None where the system does not say."""
    try:
        return round(os.getloadavg()[0], 1)
    except (AttributeError, OSError):
        return None


def _model(config: Config, spec: ModelSpec, loaded: dict[str, Any]) -> dict[str, Any]:
    """`loaded`: what models take that the service has loaded, by id."""
    found: dict[str, Any] = {"id": spec.id, "name": spec.name}
    try:
        found["need"] = spec.need()
        file = spec.file()
        if file:
            found["memory"] = loaded.get(spec.id) or msgspec.to_builtins(
                model_specs.expected_here(config, file)
            )
        found["variant"] = model_specs.variant(config, file) if file else ""
        found["tuned"] = settings.summary(config, file) if file else ""
        if file and spec.load:
            header = read_model(file)
            found["not_for_agents"] = why_not_for_agents(
                spec.load().n_ctx or header.context_length,
                tools=takes_tools(header.chat_template or ""),
                embeds=only_embeds(header),
            )
    except ApplianceError as ex:
        found["error"] = ex.message
    return found


def render(found: dict[str, Any]) -> str:
    """The findings for a person."""
    library = found["llama.cpp"]
    lines = [
        f"appliance {found['appliance']} (commit {found['commit']}) on {found['system']}",
        f"SQLite {found['sqlite']}, Python {found['python']}",
        _processor_line(found["processor"]),
        _memory_line(found["memory"]),
    ]
    if "error" in library:
        lines.append(library["error"])
    else:
        chosen = ", ".join(library["backends"]) or "built in"
        lines += [f"llama.cpp {library['version']}, backend {chosen}", library["features"].strip()]
        lines += gpus.lines(library, found["compared"])
    lines += [
        f"variant {name} is not used: {reason}"
        for name, reason in sorted(found["refused_variants"].items())
    ]
    lines += [
        f"models.aliases: {alias} stands for {target}, which is no model here"
        for alias, target in found["dangling_aliases"].items()
    ]
    lines += [f"{name} folder {path}" for name, path in found["folders"].items()]
    free = found["memory"]["available"]
    lines += [f"model {model['id']}: {_needs(model, free)}" for model in found["models"]]
    return "\n".join(lines + checks.lines(found))


def _processor_line(found: dict[str, Any]) -> str:
    threads, whole, load = found["threads"], found["of"], found["load"]
    line = f"processor {threads} thread" + ("" if threads == 1 else "s")
    if threads < whole:
        line += f" of {whole}"
    if quota := found.get("quota"):
        line += f" (a quota of {quota['processors']:g} by {quota['limited_by']})"
    if load is not None:
        line += f", load {load}"
    return line + (": other programs want it too" if (load or 0) > whole else "")


def _memory_line(found: dict[str, Any]) -> str:
    free, total = format_bytes(found["available"], "GB"), format_bytes(found["total"], "GB")
    line = f"memory {free} free of {total}"
    return line + (f", as {found['limited_by']} limits it" if found["limited_by"] else "")


def _needs(model: dict[str, Any], free: int) -> str:
    if "error" in model:
        return str(model["error"])
    short = ""
    if model["need"] > free:
        short = f", more than the {format_bytes(free, 'GB')} that are free"
    variant = f"; proven to run right on variant {model['variant']}" if model["variant"] else ""
    tuned = f"; tuned: {model['tuned']}" if model["tuned"] else ""
    return f"{_memory(model)}{short}{variant}{tuned}{_agents(model)}"


def _agents(model: dict[str, Any]) -> str:
    why = model.get("not_for_agents")
    if why is None:
        return ""
    return f"; not for coding agents: {why}" if why else "; fit for coding agents"


def _memory(model: dict[str, Any]) -> str:
    """What it takes, measured, if it is loaded; else what it would, and what it does with."""
    if not model.get("memory"):
        return f"needs {format_bytes(model['need'], 'GB')}"
    use = msgspec.convert(model["memory"], MemoryUse)
    parts = (
        f"weights {format_bytes(use.weights)}, chats {format_bytes(use.cache + use.saved)} "
        f"in {use.slots} slots, computing {format_bytes(use.compute)}, "
        f"programs {format_bytes(use.process)}"
    )
    if use.measured:
        return f"takes {format_bytes(use.total)} ({parts})"
    least = f", {format_bytes(model['need'])} at least" if model["need"] < use.total else ""
    return f"would take {format_bytes(use.total)}{least} ({parts})"
