"""The version of this build, its commit, and the libraries inside."""

import platform
import subprocess
from typing import Any

import apsw
import msgspec

from appliance import __version__
from appliance.config import paths
from appliance.config.environment import worker_environment

PROBE_SECONDS = 60
GIT_SECONDS = 10


class FrozenBuild(msgspec.Struct, frozen=True):
    """What a frozen build carries about itself, as `build.json`."""

    commit: str


def commit() -> str:
    """The commit that this was built from, shortened; `unknown` if it can't be determined."""
    file = paths.build_file()
    if file is not None:
        return msgspec.json.decode(file.read_bytes(), type=FrozenBuild).commit
    try:
        ended = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],  # noqa: S607 - whichever there is
            cwd=paths.source_dir(),
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return ended.stdout.strip()


def probe() -> dict[str, Any]:
    """What llama.cpp says of itself and this machine; `error` alone when it can't be loaded."""
    found = _ask(paths.probe_command())
    if "error" not in found:
        return found
    without = _ask(paths.probe_command(gpus=False))
    if "error" in without:
        return found
    return {**without, "unusable": {"gpus": found["error"]}}


def _ask(command: list[str]) -> dict[str, Any]:
    try:
        ended = subprocess.run(
            command,
            env=worker_environment(),
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=True,
        )
        found: dict[str, Any] = msgspec.json.decode(ended.stdout)
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as ex:
        return {"error": f"llama.cpp cannot be loaded: {ex}"}
    return found


def versions(library: dict[str, Any]) -> dict[str, str]:
    """Every version that a report of a fault should name; `library` is what `probe` found."""
    return {
        "appliance": __version__,
        "commit": commit(),
        "llama.cpp": library.get("version", "not to be loaded"),
        "sqlite": apsw.sqlite_lib_version(),
        "python": platform.python_version(),
    }


def line() -> str:
    """The versions in one line."""
    found = versions(probe())
    return (
        f"appliance {found['appliance']} (commit {found['commit']}), "
        f"llama.cpp {found['llama.cpp']}, SQLite {found['sqlite']}, Python {found['python']}"
    )
