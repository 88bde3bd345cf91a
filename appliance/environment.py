"""What the appliance takes from the environment besides settings; what a worker may see of it."""

import os
import re
from collections.abc import Mapping

_WORKER_NAMES = frozenset(
    {
        *("PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
        *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT"),
        *("USERPROFILE", "TEMP", "TMP"),
    }
)
_WORKER_PREFIXES = ("LC_", "CUDA_", "GGML_", "OMP_", "GOMP_", "PYTHON", "_PYI_")
_WORKER_DEFAULTS = {"OMP_WAIT_POLICY": "passive"}
"""Threads that wait for each other by spinning lose nearly all speed once another program wants a
core: the one that is waited for is not the one that runs."""
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL")


def worker_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a worker may see of the environment: enough to run native code, and no secret."""
    source = os.environ if environ is None else environ
    return _WORKER_DEFAULTS | {
        name: value
        for name, value in source.items()
        if (name.upper() in _WORKER_NAMES or name.upper().startswith(_WORKER_PREFIXES))
        and not _SECRET.search(name.upper())
    }


def variable(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """What an environment variable says that the configuration names, such as a key's."""
    return (os.environ if environ is None else environ).get(name)


def has_display(environ: Mapping[str, str] | None = None) -> bool:
    """Whether a browser could show a window, on a system where that depends on the environment."""
    source = os.environ if environ is None else environ
    return bool(source.get("DISPLAY") or source.get("WAYLAND_DISPLAY"))
