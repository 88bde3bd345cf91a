"""`appliance doctor`: what this machine has and what the appliance makes of it."""

import platform
from typing import Any

from appliance import about, offer, paths, surroundings, tuned
from appliance.config import Config
from appliance.engine.loaded import ModelSpec
from appliance.errors import ApplianceError
from appliance.models.memory import memory


def examine(config: Config) -> dict[str, Any]:
    """All findings, ready for JSON; what could not be found out has an `error`."""
    sizes = memory()
    library = about.probe()
    return {
        **about.versions(library),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "memory": {"total": sizes.total, "available": sizes.available},
        "llama.cpp": library,
        "folders": {
            "data": str(paths.data_dir(config)),
            "models": str(paths.models_dir(config)),
            "cache": str(paths.cache_dir()),
        },
        "models": [_model(config, spec) for spec in offer.specs(config)],
        **surroundings.look(config),
    }


def _model(config: Config, spec: ModelSpec) -> dict[str, Any]:
    found: dict[str, Any] = {"id": spec.id, "name": spec.name}
    try:
        found["need"] = spec.need()
        file = spec.file()
        found["tuned"] = tuned.summary(config, file) if file else ""
    except ApplianceError as ex:
        found["error"] = ex.message
    return found


def render(found: dict[str, Any]) -> str:
    """The findings for a person."""
    library = found["llama.cpp"]
    lines = [
        f"appliance {found['appliance']} (commit {found['commit']}) on {found['system']}",
        f"SQLite {found['sqlite']}, Python {found['python']}",
        f"memory {_size(found['memory']['available'])} free of {_size(found['memory']['total'])}",
    ]
    if "error" in library:
        lines.append(library["error"])
    else:
        chosen = ", ".join(library["backends"]) or "built in"
        lines += [f"llama.cpp {library['version']}, backend {chosen}", library["features"].strip()]
        lines += [
            f"device {device['name']}: {device['description']} ({device['family']}), "
            f"{_size(device['free'])} free of {_size(device['total'])}"
            for device in library["devices"]
        ]
    lines += [f"{name} folder {path}" for name, path in found["folders"].items()]
    for model in found["models"]:
        how = f"; tuned: {model['tuned']}" if model.get("tuned") else ""
        what = model.get("error") or f"needs {_size(model['need'])}{how}"
        lines.append(f"model {model['id']}: {what}")
    return "\n".join(lines + surroundings.lines(found))


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
