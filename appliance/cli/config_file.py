"""Changes to the configuration file that keep everything else of it, comments too."""

import os
from pathlib import Path

import tomlkit

from appliance.errors import ConfigError


def remove_keys(file: Path) -> None:
    """Takes `[[security.api_keys]]` out, all of them.

    Raises:
        ConfigError: the file cannot be written; it is as it was.
    """
    target = file.resolve()
    new = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        document = tomlkit.parse(target.read_text(encoding="utf-8"))
        document["security"].pop("api_keys", None)
        mode = target.stat().st_mode & 0o777
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write(tomlkit.dumps(document).encode())
        new.replace(target)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise ConfigError(
            f"{file}: cannot be changed: {error.strerror}. The keys are in the vault; take"
            " [[security.api_keys]] out by hand",
            param="security.api_keys",
        ) from error
