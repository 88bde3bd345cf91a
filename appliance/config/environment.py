"""Environment variables besides settings, and those that a worker gets."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from appliance.config.schema import HubSettings

_WORKER_NAMES = frozenset(
    {
        *("PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LLAMA_CPP_LIB_PATH"),
        *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT"),
        *("USERPROFILE", "TEMP", "TMP"),
    }
)
_WORKER_PREFIXES = (
    *("LC_", "CUDA_", "GGML_", "OMP_", "GOMP_", "PYTHON", "_PYI_"),
    # Which drivers Vulkan's loader finds, and how Mesa's and NVIDIA's work.
    *("VK_", "XDG_DATA_", "XDG_CONFIG_", "MESA_", "RADV_", "ANV_", "LP_", "NVIDIA_", "DRI_"),
)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL")


def worker_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a worker may see of the environment: enough to run native code, and no secret.

    ggml must not start a debugger when a worker dies: that would delay its successor.
    """
    source = os.environ if environ is None else environ
    return {"GGML_NO_BACKTRACE": "1"} | {
        name: value
        for name, value in source.items()
        if (name.upper() in _WORKER_NAMES or name.upper().startswith(_WORKER_PREFIXES))
        and not _SECRET.search(name.upper())
    }


def own_environment() -> dict[str, str]:
    """For another process of this program. A frozen build's starter has set where this one
    finds its libraries, and takes that as done in the next.
    """
    return dict(os.environ)


def forget_frozen_libraries() -> None:
    """Take the frozen build's folder out of this process's environment, for programs of the system.

    What a library starts, such as WebKit its helpers or `webbrowser` a browser, inherits that. This
    process got the place of its libraries before it could read a variable, and looks no more; but
    it must not start this program again but with what `own_environment` was before.
    """
    original = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    if original is not None:
        os.environ["LD_LIBRARY_PATH"] = original
    elif getattr(sys, "frozen", False):
        os.environ.pop("LD_LIBRARY_PATH", None)


def service_manager(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What systemd passes to a service: where to listen, and how often to notify the watchdog."""
    source = os.environ if environ is None else environ
    names = ("NOTIFY_SOCKET", "WATCHDOG_USEC")
    return {name: source[name] for name in names if source.get(name)}


def variable(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The value of an environment variable that the configuration names, such as a key's."""
    return (os.environ if environ is None else environ).get(name)


def has_display(environ: Mapping[str, str] | None = None) -> bool:
    """Whether a browser could show a window, on a system where that depends on the environment."""
    source = os.environ if environ is None else environ
    return bool(source.get("DISPLAY") or source.get("WAYLAND_DISPLAY"))


def hub(environ: Mapping[str, str] | None = None) -> HubSettings:
    """`HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE`. Proxies are httpx2's business,
    which takes `HTTPS_PROXY` and the like by itself."""
    source = os.environ if environ is None else environ
    return HubSettings(
        endpoint=(source.get("HF_ENDPOINT") or HubSettings().endpoint).rstrip("/"),
        token=(source.get("HF_TOKEN") or source.get("HUGGING_FACE_HUB_TOKEN") or "").strip(),
        token_file=_given(source, "HF_TOKEN_PATH") or _hub_home(source) / "token",
        offline=any(
            source.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}
            for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
        ),
    )


def model_folders(environ: Mapping[str, str] | None = None) -> list[tuple[str, Path]]:
    """Where other programs of this user keep models, and which program it is; none of the folders
    need be there."""
    source = os.environ if environ is None else environ
    home = _home(source)
    found = [
        ("huggingface", _given(source, "HF_HUB_CACHE") or _hub_home(source) / "hub"),
        ("lmstudio", home / ".lmstudio" / "models"),
        ("lmstudio", home / ".cache" / "lm-studio" / "models"),
        ("ollama", _given(source, "OLLAMA_MODELS") or home / ".ollama" / "models"),
        ("llama.cpp", _given(source, "LLAMA_CACHE") or _caches(source) / "llama.cpp"),
    ]
    if sys.platform.startswith("linux"):  # where Ollama's service keeps them
        found.append(("ollama", Path("/usr/share/ollama/.ollama/models")))
    return found


def _given(source: Mapping[str, str], name: str) -> Path | None:
    value = source.get(name)
    return Path(value).expanduser() if value else None


def _home(source: Mapping[str, str]) -> Path:
    return _given(source, "HOME") or _given(source, "USERPROFILE") or Path("/nonexistent")


def _hub_home(source: Mapping[str, str]) -> Path:
    cache = _given(source, "XDG_CACHE_HOME") or _home(source) / ".cache"
    return _given(source, "HF_HOME") or cache / "huggingface"


def _caches(source: Mapping[str, str]) -> Path:
    if sys.platform == "darwin":
        return _home(source) / "Library" / "Caches"
    if sys.platform == "win32":
        return _given(source, "LOCALAPPDATA") or _home(source) / "AppData" / "Local"
    return _given(source, "XDG_CACHE_HOME") or _home(source) / ".cache"
