"""The original service's configuration as settings of the appliance, line by line."""

import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from appliance.config.loader import log_level
from appliance.config.schema import AvailableModel, Config
from appliance.errors import ConfigError

Kind = Literal["kept", "changed", "ignored"]

_RENAMED = {
    ("security", "cors_origins"): "allowed_origins",
    ("limits", "default_rate_limit"): "default_rate_limit_per_minute",
}
"""Keys of older versions, and what they are called here."""
_WITHOUT_MEANING = {
    ("models", "default_quantization"): "each model's `quantization` says it",
    ("security", "enable_cors"): "`security.allowed_origins` alone decides",
}


class Line(msgspec.Struct, frozen=True):
    """What becomes of one setting."""

    kind: Kind
    name: str
    """Such as `server.port`."""
    note: str = ""


class Migrated(msgspec.Struct, frozen=True):
    """A configuration, and how it came to be."""

    settings: dict[str, dict[str, Any]]
    """By section and key."""
    lines: list[Line]


def translate(file: Path) -> Migrated:
    """Read a configuration file of the original service.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error
    known = {f.name: f.type for f in msgspec.structs.fields(Config)}
    settings: dict[str, dict[str, Any]] = {}
    lines: list[Line] = []
    for section, table in tables.items():
        if section not in known or not isinstance(table, dict):
            lines.append(Line("ignored", section, "there is no such section"))
            continue
        keys = {field.name for field in msgspec.structs.fields(known[section])}
        for key, value in table.items():
            line, name, given = _setting(file.parent, section, key, value, keys)
            lines.append(line)
            if line.kind != "ignored":
                settings.setdefault(section, {})[name] = given
    return Migrated(settings, lines)


def _setting(
    folder: Path, section: str, key: str, value: Any, known: set[str]
) -> tuple[Line, str, Any]:
    """What becomes of a setting, its name here, and its value."""
    name, place = _RENAMED.get((section, key), key), f"{section}.{key}"
    if (section, key) in _WITHOUT_MEANING:
        return Line("ignored", place, _WITHOUT_MEANING[section, key]), name, None
    if (section, key) == ("models", "models"):
        entries = [{"id": it} if isinstance(it, str) else it for it in _list(value)]
        models = [_model(folder, it) for it in entries]
        return Line("changed", place, "now models.available_models"), "available_models", models
    if name not in known:
        return Line("ignored", place, "there is no such setting"), name, None
    if (section, key) == ("models", "available_models"):
        models = [_model(folder, it) for it in _list(value)]
        note = "all are loaded at the start, as memory allows (prewarm)"
        return Line("changed", place, note), name, models
    if (section, key) == ("security", "api_keys"):
        keys = [_api_key(it) for it in _list(value)]
        note = "`appliance keys import` moves them to a safer place"
        return Line("kept", place, note), name, keys
    if (section, key) == ("models", "model_dir"):
        path = folder / str(value)
        return Line("kept" if Path(str(value)).is_absolute() else "changed", place), name, str(path)
    if (section, key) == ("observability", "metrics_path") and value == "":
        return Line("changed", place, "now /metrics, where its metrics were"), name, "/metrics"
    if (section, key) == ("server", "log_level"):
        level = log_level(str(value)) or "info"
        return Line("kept" if level == value else "changed", place, f"now {level}"), name, level
    note = ""
    if (section, key) == ("limits", "session_ttl_seconds"):
        note = "nothing is deleted until somebody confirms it on the page; the original never did"
    kind: Kind = "kept" if name == key else "changed"
    return Line(kind, place, note or (f"now {section}.{name}" if name != key else "")), name, value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _model(folder: Path, given: Any) -> dict[str, Any]:
    """A model, with its path from here; a folder of weights is no file that llama.cpp can run."""
    known = {field.name for field in msgspec.structs.fields(AvailableModel)}
    entry = {name: value for name, value in dict(given).items() if name in known}
    if path := entry.pop("path", ""):
        file = folder / str(path)
        if file.suffix.lower() == ".gguf":
            entry["path"] = str(file)
    return {**entry, "prewarm": True}


def _api_key(given: Any) -> dict[str, Any]:
    entry = dict(given)
    if "rate_limit" in entry:
        entry["rate_limit_per_minute"] = entry.pop("rate_limit")
    return entry
