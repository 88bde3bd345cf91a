"""Changes to the configuration file that keep everything else of it, comments too."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
import tomlkit.exceptions

from appliance.config.loader import load
from appliance.errors import ConfigError
from appliance.system.files import replace_file


def remove_keys(file: Path) -> None:
    """Takes `[[security.api_keys]]` out, all of them.

    Raises:
        ConfigError: the file cannot be written; it is as it was.
    """
    target = file.resolve()
    try:
        document = tomlkit.parse(target.read_text(encoding="utf-8"))
        document["security"].pop("api_keys", None)
        mode = target.stat().st_mode & 0o777
        replace_file(target, tomlkit.dumps(document).encode(), mode=mode)
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be changed: {error.strerror}. The keys are in the vault; take"
            " [[security.api_keys]] out by hand",
            param="security.api_keys",
        ) from error


def merge(file: Path, settings: Mapping[str, Mapping[str, Any]]) -> Path | None:
    """Writes settings into a configuration file, which is made if it is not there.

    Returns:
        Where the file as it was before is kept; None: there was none.

    Raises:
        ConfigError: the file cannot be read or written, or what was to be written could not be
            used; it is as it was.
    """
    target = file.resolve()
    try:
        text = target.read_text(encoding="utf-8") if target.is_file() else ""
        document = tomlkit.parse(text)
        for section, table in settings.items():
            if section not in document:
                document.add(section, tomlkit.table())
            for key, value in table.items():
                document[section][key] = value
        _check(tomlkit.dumps(document))
        target.parent.mkdir(parents=True, exist_ok=True)
        kept = None
        if text:
            kept = target.with_name(f"{target.stem}-{time.strftime('%Y%m%d-%H%M%S')}.toml")
            replace_file(kept, text.encode(), mode=0o600)
        replace_file(target, tomlkit.dumps(document).encode(), mode=0o600)
    except (OSError, tomlkit.exceptions.TOMLKitError) as error:
        raise ConfigError(f"{file}: cannot be changed: {error}") from error
    return kept


def _check(text: str) -> None:
    """Raises ConfigError if the appliance could not use it."""
    with tempfile.TemporaryDirectory(prefix="appliance-") as folder:
        file = Path(folder) / "config.toml"
        file.write_text(text, encoding="utf-8")
        load(file, environ={})
