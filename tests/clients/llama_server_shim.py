"""Takes the place of `utils` for llama.cpp's tests of its server: the server is the appliance.

A pytest process in the folder that `llama_server_suite` made imports this; `original` there is the
`utils` that llama.cpp has. Appliances are kept from test to test, one for each set of settings.
"""

import atexit
import struct
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

# It is for downloads, which there are none of.
sys.modules.setdefault("wget", types.ModuleType("wget"))

import original  # type: ignore[import-not-found] # noqa: E402
from original import *  # noqa: E402, F403

from appliance.config import paths  # noqa: E402
from tests.running import Running  # noqa: E402
from tests.worker.llama_sources import sources  # noqa: E402

MODEL = "model"
TEMPLATE = b"tokenizer.chat_template"

_running: dict[tuple[tuple[str, str], ...], Running] = {}


def _stop() -> None:
    for appliance in _running.values():
        appliance.stop()


atexit.register(_stop)


def _model(folder: Path, template: str | None) -> Path:
    """The embedded model's file, with another chat template."""
    if template is None:
        return paths.embedded_model()
    data = paths.embedded_model().read_bytes()
    begin = data.index(TEMPLATE) + len(TEMPLATE) + 4  # behind the type
    (length,) = struct.unpack_from("<Q", data, begin)
    text = template.encode()
    # What comes after it stays aligned.
    text += b"{#" + b"-" * ((length - len(text) - 4) % 32) + b"#}"
    file = folder / "model.gguf"
    file.write_bytes(
        data[:begin] + struct.pack("<Q", len(text)) + text + data[begin + 8 + length :]
    )
    return file


class ServerProcess(original.ServerProcess):  # type: ignore[misc]
    """The appliance with its embedded model, however the test wants llama.cpp's server."""

    def start(self, timeout_seconds: int = 0) -> None:
        """Be at an address where an appliance with these settings answers."""
        slots = self.n_slots or 4
        settings = {"APPLIANCE_ENGINE_N_SEQ_MAX": str(slots)}
        if self.n_ctx:
            settings["APPLIANCE_ENGINE_N_CTX"] = str(max(self.n_ctx // slots, 256))
        if self.n_predict and self.n_predict > 0:
            settings["APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS"] = str(self.n_predict)
        file = Path(self.chat_template_file or "").name
        key = (*sorted(settings.items()), ("template", file))
        if key not in _running:
            folder = Path(tempfile.mkdtemp(dir=Path(original.__file__).parent))
            model = _model(folder, sources("models/templates", ".jinja")[file] if file else None)
            config = (
                f'[models.aliases]\n"*" = "{MODEL}"\n'
                f'[[models.available_models]]\nid = "{MODEL}"\npath = "{model}"\n'
            )
            _running[key] = Running(folder, config=config, **settings).start()
        self.server_port = int(_running[key].url.rpartition(":")[2])

    def stop(self) -> None:
        """Leave it to the next test."""


class ServerPreset(original.ServerPreset):  # type: ignore[misc]
    """As llama.cpp has them, of this class of server."""

    @staticmethod
    def load_all() -> None:
        """Nothing is downloaded."""


original.ServerProcess = ServerProcess


def match_regex(regex: str, text: str) -> bool:
    """Whether there is a text: what it says is another model's."""
    assert regex
    return isinstance(text, str)


def is_slow_test_allowed() -> bool:
    """Those want models of many gigabytes."""
    return False


__all__: list[Any] = [name for name in dir() if not name.startswith("_")]
