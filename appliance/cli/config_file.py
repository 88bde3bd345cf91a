"""Changes to the configuration file that keep everything else of it, comments too."""

from pathlib import Path

import tomlkit

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
