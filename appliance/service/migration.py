"""What moving from the original service takes: its configuration, chats, models and page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from appliance.chat.importers.chats import ImportedChat
from appliance.chat.importers.files import Problem, read_path
from appliance.config.loader import load
from appliance.config.original import Line, Migrated, translate
from appliance.config.schema import AvailableModel, Config
from appliance.errors import ApplianceError
from appliance.service import model_files

CHATS = ("sessions.db", "sessions.json")


class MissingModel(msgspec.Struct, frozen=True):
    """A model that has to be downloaded."""

    model: str
    quantization: str
    hint: str
    """The command that does it."""


class MigrationPlan(msgspec.Struct, frozen=True):
    """What is going to be done, in lines for people."""

    settings: dict[str, dict[str, Any]]
    lines: list[Line]
    chats: list[str]
    """Files with chats."""
    downloads: list[MissingModel]


def examine(folder: Path) -> MigrationPlan:
    """Look at the original's folder; nothing is changed.

    Raises:
        ConfigError: its configuration cannot be used.
    """
    file = folder / "config.toml"
    found = translate(file) if file.is_file() else Migrated({}, [])
    lines = list(found.lines)
    if not file.is_file():
        lines.append(Line("ignored", "config.toml", "there is none: the appliance's defaults hold"))
    chats = [folder / name for name in CHATS if (folder / name).is_file()]
    lines += map(_chats_line, chats)
    listed = [
        msgspec.convert(entry, AvailableModel)
        for entry in found.settings.get("models", {}).get("available_models", ())
    ]
    downloads: list[MissingModel] = []
    config = load(None, flags=found.settings, environ={})
    for model in listed:
        line, missing = _model_line(config, model)
        lines.append(line)
        downloads += [missing] if missing else []
    page = folder / "frontend" / "dist"
    if (page / "index.html").is_file():
        note = f'the appliance\'s page is shown; server.ui_dir = "{page}" shows this one'
        lines.append(Line("ignored", "frontend/dist", note))
    return MigrationPlan(found.settings, lines, list(map(str, chats)), downloads)


def _chats_line(file: Path) -> Line:
    found = list(read_path(file))
    count = sum(isinstance(one, ImportedChat) for one in found)
    wrong = sum(isinstance(one, Problem) for one in found)
    note = f"{count} chats, with their ids" + (f"; {wrong} cannot be read" if wrong else "")
    return Line("kept", file.name, note)


def _model_line(config: Config, model: AvailableModel) -> tuple[Line, MissingModel | None]:
    place = f"model {model.id}"
    try:
        file = model_files.model_file(config, model)
    except ApplianceError as ex:
        name = model_files.hub_name(model)
        missing = None
        if name:
            hint = model_files.install_hint(model)
            missing = MissingModel(name, model.quantization, hint)
        return Line("changed", place, ex.message), missing
    return Line("kept", place, str(file)), None


def describe(lines: Sequence[Line]) -> list[str]:
    """For people."""
    return [f"{line.kind:8}{line.name}" + (f": {line.note}" if line.note else "") for line in lines]
